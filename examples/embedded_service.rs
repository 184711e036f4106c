//! A small service that builds what its customers deploy: the newest deploy of an app, and everybody in turn.
//!
//! ```text
//! cargo run --example embedded_service -- 127.0.0.1:8080 examples
//! curl --json '{"app": "shop", "directory": "hello"}' http://127.0.0.1:8080/customers/ann/deploys
//! curl 'http://127.0.0.1:8080/customers/ann/builds/v1/builds/ID/log?follow=true'
//! ```
//!
//! What waits or runs when it ends, or is killed, goes on when it is started again. At `/customers/ann/builds/` are the live
//! page and the API of `polyarch serve`, for the builds of this customer alone.

#![expect(clippy::print_stdout, reason = "a service says where it listens")]
use std::{env, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::post,
};
use polyarch::{
    BuildSpec, Orchestrator,
    actors::queue::Tenant,
    queue::{BuildQueue, QueueError, QueueOptions, Supersede, SupersedePolicy, records::NewBuild},
    service::{self, Access, Service, ServiceLimits},
};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Deserialize)]
struct Deploy {
    app: String,
    directory: String,
}

#[derive(Deserialize)]
struct Customer {
    customer: Tenant,
}

fn main() -> Result<(), Error> {
    // Builds are guarded by this program, executed again: this call must come first.
    polyarch::init();
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(sources)) = (arguments.next(), arguments.next()) else {
        return Err("usage: embedded_service ADDRESS:PORT DIRECTORY".into());
    };
    tokio::runtime::Runtime::new()?.block_on(serve(&address, sources.into()))
}

async fn serve(address: &str, sources: PathBuf) -> Result<(), Error> {
    let orchestrator = Orchestrator::builder().start().await?;
    let data = orchestrator.store().root().join("embedded");
    // Customers have a share each, and a store each.
    let options = QueueOptions { scopes: true, max_waiting_each: 100, ..QueueOptions::default() };
    let queue = orchestrator.queue(&data, options).await?;
    let service = Service::open(Arc::new(queue.clone()), Access::Embedder, &data, ServiceLimits::default())?;
    let builds = service::router(service.clone()).layer(from_fn(let_in));
    let app = Router::new()
        .route("/customers/{customer}/deploys", post(deploy))
        .with_state((queue.clone(), sources.canonicalize()?))
        .nest_service("/customers/{customer}/builds", builds);
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let end = async move {
        // An error means that there is no signal to wait for.
        let _ = tokio::signal::ctrl_c().await;
        service.drain();
    };
    axum::serve(listener, app).with_graceful_shutdown(end).await?;
    // What runs gets a moment; what is stopped then is begun again the next time.
    queue.close(Duration::from_secs(10)).await;
    orchestrator.shutdown(Duration::ZERO).await;
    Ok(())
}

async fn deploy(
    State((queue, sources)): State<(BuildQueue, PathBuf)>,
    Path(customer): Path<Tenant>,
    Json(Deploy { app, directory }): Json<Deploy>,
) -> Result<Response, (StatusCode, String)> {
    let refused = |why: &str| (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n"));
    if directory.contains(['/', '.']) {
        return Err(refused("the directory is a name without slashes and dots"));
    }
    let platforms = ["linux/amd64", "linux/arm64"].map(|platform| platform.parse().expect("a platform"));
    let spec = BuildSpec::new(sources.join(directory)).platforms(platforms);
    // A newer deploy of the app takes the place of one that waits or runs.
    let key = app.parse().map_err(|_| refused("the app needs a name"))?;
    let supersede = Some(Supersede { key, policy: SupersedePolicy::CancelRunning });
    let build = NewBuild { tenant: customer, supersede, ..NewBuild::new(spec) };
    match queue.submit(build).await {
        Ok(taken) => Ok((StatusCode::ACCEPTED, Json(json!({ "build": taken.id }))).into_response()),
        Err(error @ QueueError::Full { .. }) => Err((StatusCode::TOO_MANY_REQUESTS, format!("{error}\n"))),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))),
    }
}

/// A real service would look here at who asks.
async fn let_in(Path(of): Path<Customer>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Arc::new(service::Tenant::new(of.customer)));
    next.run(request).await
}
