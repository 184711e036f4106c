//! What is promised to the tenants, whatever happens to the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::join_all, stream};
use polyarch::queue::BuildState;
use reqwest::Method;

use super::{
    ledger::Ledger,
    orders::{Crowd, Dice, EACH, TENANTS, name, orders, tenants, weight},
    server::{MAX_RUNNING, Server},
    shares,
};

/// How many ask at once.
const AT_ONCE: usize = 40;
/// When the server is killed: when so many builds were taken, and when so many have not ended.
const FIRST_KILL: usize = 600;
const SECOND_KILL: usize = 360;
/// By how much the share of a tenant may differ from its weight.
const TOLERANCE: f64 = 0.1;
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread")]
async fn every_build_ends_once_and_every_tenant_has_its_share_though_the_server_is_killed_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let (context, data) = (root.join("context"), root.join("data"));
    std::fs::create_dir(&context).expect("made");
    std::fs::write(context.join("Dockerfile"), "FROM busybox\nRUN make\n").expect("written");
    let tokens = tenants(&root, &context);
    let server = Server::start(&root, 1);
    let crowd = Crowd::new(&server.address, tokens, &context);

    // The first kill comes while all still ask.
    let orders = orders(&mut Dice(20));
    let asking = {
        let (crowd, orders) = (crowd.clone(), orders.clone());
        tokio::spawn(async move {
            let mut ids = Vec::new();
            // Whoever has its answer and waits to cancel keeps nobody from asking.
            let asked = orders.into_iter().map(|order| {
                let crowd = crowd.clone();
                async move { (order.key.clone(), crowd.order(order).await) }
            });
            let mut asked = stream::iter(asked).map(tokio::spawn).buffer_unordered(AT_ONCE * 10);
            while let Some(done) = asked.next().await {
                ids.push(done.expect("an order"));
            }
            ids
        })
    };
    until("enough were taken", async || crowd.taken.load(Ordering::Relaxed) >= FIRST_KILL).await;
    server.kill();
    let server = Server::start(&root, 2);
    crowd.address.lock().expect("an address").clone_from(&server.address);
    until("all were taken", async || crowd.taken.load(Ordering::Relaxed) == orders.len()).await;
    let ledger = Ledger::open(&data).await;

    until("most have ended", async || ledger.unfinished().await <= SECOND_KILL).await;
    server.kill();
    let server = Server::start(&root, 3);
    crowd.address.lock().expect("an address").clone_from(&server.address);
    let ids: BTreeMap<String, String> = asking.await.expect("all have their answers").into_iter().collect();
    until("all have ended", async || ledger.unfinished().await == 0).await;

    // The same key is the same build, however long ago and whatever happened since.
    for order in orders.iter().step_by(37) {
        let again = crowd.submit(order).await;
        assert_eq!((again["id"].as_str(), &again["how"]), (Some(&*ids[&order.key]), &"same-key".into()));
    }
    let distinct: BTreeSet<&String> = ids.values().collect();
    assert_eq!(distinct.len(), TENANTS * EACH);
    let all = ledger.all().await;
    assert_eq!(all.len(), TENANTS * EACH, "nothing was built that nobody asked for");

    // Every slot can be had: none was lost, and none is there twice.
    let most = usize::try_from(MAX_RUNNING).expect("few");
    let occupied = join_all((0..most + 2).map(async |number| {
        let tenant = number % TENANTS;
        (tenant, crowd.occupy(tenant, &format!("occupied-{number}")).await)
    }))
    .await;
    until("every slot is taken", async || ledger.running().await == most).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ledger.running().await, most);
    for (tenant, id) in &occupied {
        let path = format!("/v1/builds/{id}/cancel?wait=20");
        let (status, answer) = crowd.ask(*tenant, Method::POST, &path, None).await;
        assert_eq!((status, &answer["state"]), (202, &"cancelled".into()), "{answer}");
    }
    let said = server.end();
    assert_eq!(said, "with 0 running, taken: [], violations: []");

    let mut states: BTreeMap<BuildState, usize> = BTreeMap::new();
    let mut again = 0;
    for record in &all {
        assert!(record.state.is_final(), "{record:?}");
        *states.entry(record.state).or_default() += 1;
        again += usize::from(record.attempt > 1);
        ledger.check_log(record).await;
    }
    let least = [
        (BuildState::Succeeded, 1000),
        (BuildState::Failed, 20),
        (BuildState::Cancelled, 10),
        (BuildState::TimedOut, 1),
    ];
    for (state, least) in least {
        assert!(states.get(&state).is_some_and(|count| *count >= least), "{states:?}");
    }
    assert!(again > 0, "the kills hit builds that ran");

    // The second server counts from nothing, until somebody has nothing waiting any more. Turns that are long or that stalled
    // count as soon as they are taken, and are made up for later: so of each tenant no single moment is judged, but the
    // middle one of many.
    let weights =
        (0..TENANTS).map(|tenant| (name(tenant).parse().expect("a name"), weight(tenant))).collect();
    let had = shares::read(&shares::file(&root, 2));
    assert!(had.len() >= 20, "there is enough to be judged: {had:?}");
    let shares = shares::usual(&had[had.len() / 2..], &weights);
    assert!(shares.values().all(|share| share.abs() <= TOLERANCE), "{shares:.3?}");
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
