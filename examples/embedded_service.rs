//! A small service that builds images for others: `cargo run --example embedded_service`, then
//! `echo examples/hello | nc 127.0.0.1 PORT`. Each line it reads is a context; it answers with what happens and,
//! in the end, with the digest of the index.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a service says where it listens")]
use std::{net::Ipv4Addr, time::Duration};

use futures::StreamExt;
use polyarch::{BuildSpec, Orchestrator, actors::EventKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    // Builds are guarded by this program, executed again: this call must come first.
    polyarch::init();
    serve()
}

#[tokio::main]
async fn serve() -> Result<()> {
    let orchestrator = Orchestrator::builder().start().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted?;
                let orchestrator = orchestrator.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(client, &orchestrator).await {
                        eprintln!("a client was lost: {error}");
                    }
                });
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    orchestrator.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Builds every context that a client names, for two platforms.
async fn answer(client: TcpStream, orchestrator: &Orchestrator) -> Result<()> {
    let (reader, mut writer) = client.into_split();
    let mut contexts = BufReader::new(reader).lines();
    while let Some(context) = contexts.next_line().await? {
        let platforms = ["linux/amd64".parse()?, "linux/arm64".parse()?];
        let build = orchestrator.build(BuildSpec::new(context.trim()).platforms(platforms));
        let mut events = build.events();
        while let Some(event) = events.next().await {
            if let (Some(platform), EventKind::StepStarted { step, instruction, .. }) =
                (&event.platform, &event.kind)
            {
                writer.write_all(format!("{platform} #{step} {instruction}\n").as_bytes()).await?;
            }
        }
        let answer = match build.await {
            Ok(receipt) => format!("done {}\n", receipt.index.digest),
            Err(error) => format!("failed {error}\n"),
        };
        writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
