//! What the tenants ask for, and how they ask again while there is no answer.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use polyarch::service::Token;
use reqwest::Method;
use serde_json::{Value, json};

use super::server::PLATFORMS;
use crate::service::scene::client;

/// How many tenants there are, and how many builds each asks for.
pub(super) const TENANTS: usize = 20;
pub(super) const EACH: usize = 100;

/// Numbers from a seed: splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// One build that somebody asks for.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) tenant: usize,
    pub(super) key: String,
    priority: i64,
    platforms: Vec<&'static str>,
    /// When it is cancelled, after it was taken.
    cancel: Option<Duration>,
    /// Whether it is asked for twice at once.
    twice: bool,
    /// Whether it hangs until its time is over.
    hangs: bool,
}

/// The name of a tenant.
pub(super) fn name(tenant: usize) -> String {
    format!("tenant-{tenant:02}")
}

/// How many times the share of others a tenant has.
pub(super) fn weight(tenant: usize) -> u32 {
    if tenant < TENANTS / 2 { 1 } else { 2 }
}

/// Writes the file of tenants, who may use one directory, and returns their tokens.
pub(super) fn tenants(folder: &Path, context: &Path) -> Vec<String> {
    let tokens: Vec<Token> = (0..TENANTS).map(|_| Token::generate().expect("a token")).collect();
    let entry = |(tenant, token): (usize, &Token)| {
        let (name, weight, hash, path) = (name(tenant), weight(tenant), token.hash(), context.display());
        format!("[tenant.{name}]\nweight = {weight}\ntokens = ['{hash}']\npaths = ['{path}']\n")
    };
    let entries: String = tokens.iter().enumerate().map(entry).collect();
    std::fs::write(folder.join("tenants.toml"), entries).expect("written");
    tokens.iter().map(|token| token.as_str().to_owned()).collect()
}

/// All that is asked for, in the order in which it comes.
pub(super) fn orders(dice: &mut Dice) -> Vec<Order> {
    let mut orders = Vec::new();
    for number in 0..EACH {
        for tenant in 0..TENANTS {
            let hangs = number == 0 && tenant % 4 == 0;
            let platforms = match dice.below(10) {
                _ if hangs => vec![PLATFORMS[2]],
                0 => vec![PLATFORMS[0], PLATFORMS[1]],
                1..=5 => vec![PLATFORMS[0]],
                _ => vec![PLATFORMS[1]],
            };
            let drawn = i64::try_from(dice.below(201)).expect("small") - 100;
            orders.push(Order {
                tenant,
                key: format!("order-{tenant}-{number}"),
                priority: if hangs { -100 } else { drawn },
                platforms,
                cancel: (dice.below(12) == 0).then(|| Duration::from_millis(dice.below(12_000))),
                twice: dice.below(10) == 0,
                hangs,
            });
        }
    }
    orders
}

/// Whoever asks, wherever the server is at the moment.
#[derive(Clone)]
pub(super) struct Crowd {
    pub(super) address: Arc<Mutex<String>>,
    tokens: Arc<Vec<String>>,
    context: Arc<str>,
    client: reqwest::Client,
    pub(super) taken: Arc<AtomicUsize>,
}

impl Crowd {
    pub(super) fn new(address: &str, tokens: Vec<String>, context: &Path) -> Self {
        Self {
            address: Arc::new(Mutex::new(address.to_owned())),
            tokens: Arc::new(tokens),
            context: context.to_str().expect("text").into(),
            client: client(&[]),
            taken: Arc::default(),
        }
    }

    /// Asks for a build until there is an answer, and again, and cancels it when it is time; its id.
    pub(super) async fn order(&self, order: Order) -> String {
        let answers = if order.twice {
            let (one, two) = tokio::join!(self.submit(&order), self.submit(&order));
            vec![one, two]
        } else {
            vec![self.submit(&order).await]
        };
        let ids: Vec<&str> = answers.iter().map(|answer| answer["id"].as_str().expect("an id")).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{} is two builds: {ids:?}", order.key);
        self.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(wait) = order.cancel {
            tokio::time::sleep(wait).await;
            let path = format!("/v1/builds/{}/cancel", ids[0]);
            let (status, answer) = self.ask(order.tenant, Method::POST, &path, None).await;
            assert!([202, 409].contains(&status), "{status}: {answer}");
        }
        ids[0].to_owned()
    }

    /// The build that an order is.
    pub(super) async fn submit(&self, order: &Order) -> Value {
        let timeouts = if order.hangs { json!({"total": 1}) } else { json!({}) };
        let document = json!({
            "context": {"path": &*self.context},
            "platforms": order.platforms,
            "labels": {"order": order.key},
            "submission": {
                "priority": order.priority, "idempotency_key": order.key, "timeouts": timeouts,
            },
        });
        let (status, answer) = self.ask(order.tenant, Method::POST, "/v1/builds", Some(&document)).await;
        assert!([200, 201].contains(&status), "{status}: {answer}");
        answer
    }

    /// Asks for a build that runs until it is cancelled.
    pub(super) async fn occupy(&self, tenant: usize, key: &str) -> String {
        let order = Order {
            tenant,
            key: key.to_owned(),
            priority: 0,
            platforms: vec![PLATFORMS[2]],
            cancel: None,
            twice: false,
            hangs: false,
        };
        self.submit(&order).await["id"].as_str().expect("an id").to_owned()
    }

    /// Asks until somebody answers.
    pub(super) async fn ask(
        &self,
        tenant: usize,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> (u16, Value) {
        loop {
            let address = self.address.lock().expect("an address").clone();
            let mut request = self.client.request(method.clone(), format!("http://{address}{path}"));
            request = request.bearer_auth(&self.tokens[tenant]);
            if let Some(document) = document {
                request = request.header("Content-Type", "application/json").body(document.to_string());
            }
            // Whoever was not answered does not know what became of the request.
            if let Ok(response) = request.send().await {
                let status = response.status().as_u16();
                if let Ok(body) = response.bytes().await
                    && status != 503
                {
                    return (status, serde_json::from_slice(&body).expect("JSON"));
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
