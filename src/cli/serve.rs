//! `polyarch serve`.

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{report::Failure, run::print, signals::Interrupts};
#[cfg(unix)]
use crate::machine::files;
use crate::{
    Orchestrator, config,
    error::with_sources,
    machine::memory,
    quantity,
    queue::{BuildQueue, FolderError, QueueError, QueueOptions, Retention},
    service::{self, Access, Service, ServiceLimits, Tenant, Tenants, Tls, Token, queue_options},
};

/// Whose builds those are that nobody says anything of.
const DEFAULT_TENANT: &str = "default";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ServeArgs {
    #[command(subcommand)]
    command: Option<ServeCommand>,
    /// Where to listen; the port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    /// The folder for builds and contexts [default: service in the store]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Whose builds there are, in TOML: "[tenant.NAME]" with tokens, weight, max_running, max_waiting, max_memory,
    /// max_cpus, max_pids, max_time, secrets, paths, authfile, private_registries, fetch_private and network; SIGHUP has it
    /// read again. Without it there is one tenant and no token, on this machine alone
    #[arg(long, value_name = "FILE")]
    tenants: Option<PathBuf>,
    /// The certificate of this server and those that vouch for it, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen without TLS where others could read along: a proxy before this server has it
    #[arg(long, conflicts_with = "tls_cert")]
    insecure_http: bool,
    /// How many builds run at once [default: twice the number of CPUs, and at least 4]
    #[arg(long, value_name = "NUMBER")]
    max_running: Option<NonZeroU64>,
    /// How many builds of one tenant may wait
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    max_waiting: usize,
    /// How much memory builds that run may take together, as far as they say what they take; the others wait. 0 for no limit
    /// [default: that of this machine]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    memory: Option<u64>,
    /// Fail builds that cannot be held to their limits of memory, CPU time and processes, instead of warning
    #[arg(long)]
    require_limits: bool,
    /// How long records and logs of builds are kept that have ended
    #[arg(long, value_name = "TIME", default_value = "720h", value_parser = quantity::duration)]
    keep: Duration,
    /// Begin no build while less than this is free where the store is
    #[arg(long, value_name = "SIZE", default_value = "1g", value_parser = quantity::size)]
    min_free: u64,
    /// How long builds and requests get that are under way when the server ends. What is stopped then is begun again when
    /// it is started the next time
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::duration)]
    grace: Duration,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum ServeCommand {
    /// Make a token for a tenant, and its hash for the file of tenants
    Token,
}

pub(super) async fn run(store: Option<PathBuf>, args: ServeArgs) -> Result<(), Failure> {
    match args.command {
        Some(ServeCommand::Token) => token(),
        None => serve(store, args).await,
    }
}

fn token() -> Result<(), Failure> {
    let token = Token::generate().map_err(|error| Failure::host(error.to_string()))?;
    print(&format!("token  {}\nhash   {}\n", token.as_str(), token.hash()))
}

async fn serve(store: Option<PathBuf>, args: ServeArgs) -> Result<(), Failure> {
    args.check()?;
    #[cfg(unix)]
    files::open_many();
    let access = access(args.tenants.as_deref())?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Tls::read(certificate, key).map_err(|error| Failure::input(with_sources(&error)))?)
        }
        _ => None,
    };
    let store = store.or_else(config::default_store);
    let store =
        store.ok_or_else(|| Failure::host("there is no folder for the store (set POLYARCH_STORE)"))?;
    let data = args.data.clone().unwrap_or_else(|| store.join("service"));
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::host(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(|error| Failure::host(error.to_string()))?;
    let orchestrator = Orchestrator::builder().store(store).start().await?;
    let base = args.options();
    if let Access::Tokens(tenants) = &access {
        fits(tenants, &base).map_err(Failure::input)?;
    }
    let queue = orchestrator.queue(&data, of_access(base.clone(), &access)).await.map_err(of_queue)?;
    let service = Service::open(Arc::new(queue.clone()), access, &data, ServiceLimits::default())
        .map_err(|error| Failure::host(with_sources(&error)))?;
    let stop = CancellationToken::new();
    let _interrupts = Interrupts::cancel(stop.clone());
    if let Some(path) = args.tenants {
        read_again(service.clone(), queue.clone(), base, path);
    }
    print(&format!("listening on http{}://{address}\n", if tls.is_some() { "s" } else { "" }))?;
    let closing = async {
        stop.cancelled().await;
        queue.close(args.grace).await;
    };
    tokio::join!(service::serve(service, listener, tls, stop.clone(), args.grace), closing);
    orchestrator.shutdown(args.grace).await;
    Ok(())
}

impl ServeArgs {
    /// How builds are run, apart from what is said of tenants.
    fn options(&self) -> QueueOptions {
        let usual = QueueOptions::default();
        QueueOptions {
            max_running: self.max_running.map_or(usual.max_running, NonZeroU64::get),
            max_waiting_each: self.max_waiting,
            // With one tenant, the store is that of the other commands.
            scopes: self.tenants.is_some(),
            min_free: self.min_free,
            memory: self.memory(),
            require_resources: self.require_limits,
            retention: Retention { age: self.keep, ..Retention::default() },
            ..usual
        }
    }

    fn memory(&self) -> Option<u64> {
        match self.memory {
            Some(0) => None,
            Some(bytes) => Some(bytes),
            None => memory::total(),
        }
    }

    /// Refuses what would let others in, or have them read along.
    fn check(&self) -> Result<(), Failure> {
        let address = self.listen;
        if address.ip().is_loopback() {
            return Ok(());
        }
        if self.tenants.is_none() {
            let refusal = format!("{address} can be reached by others, and nobody would need a token");
            return Err(Failure::usage(refusal).hint("give --tenants FILE, or listen on 127.0.0.1"));
        }
        if self.tls_cert.is_none() && !self.insecure_http {
            let refusal =
                format!("{address} can be reached by others, and tokens would go there unencrypted");
            let hint = "give --tls-cert and --tls-key, or --insecure-http where a proxy has them";
            return Err(Failure::usage(refusal).hint(hint));
        }
        Ok(())
    }
}

/// Refuses tenants whose builds would get more memory than all builds together: none of them could run.
fn fits(tenants: &Tenants, options: &QueueOptions) -> Result<(), String> {
    let Some(all) = options.memory else { return Ok(()) };
    let mut tenants = tenants.all().iter();
    match tenants.find(|tenant| tenant.most.memory.is_some_and(|most| most > all)) {
        Some(tenant) => Err(format!(
            "max_memory of tenant {} is more than the {all} bytes that all builds together may take: lower it, or give more \
             with --memory",
            tenant.name
        )),
        None => Ok(()),
    }
}

/// How the builds of those are run who may ask.
fn of_access(base: QueueOptions, access: &Access) -> QueueOptions {
    match access {
        Access::Tokens(tenants) => queue_options(base, tenants.all()),
        _ => base,
    }
}

fn of_queue(error: QueueError) -> Failure {
    match error {
        QueueError::Folder(FolderError::InUse { .. }) => Failure::host(error.to_string())
            .hint("end that process first, or give another folder with --data"),
        error => Failure::host(with_sources(&error)),
    }
}

/// Who may ask.
fn access(tenants: Option<&Path>) -> Result<Access, Failure> {
    let Some(path) = tenants else {
        let name = DEFAULT_TENANT.parse().map_err(|error| Failure::host(format!("{error}")))?;
        return Ok(Access::ThisMachine(Arc::new(Tenant::new(name))));
    };
    let tenants = Tenants::read(path).map_err(|error| Failure::input(with_sources(&error)))?;
    Ok(Access::Tokens(tenants))
}

/// Reads the tenants again whenever SIGHUP comes; those that cannot be read change nothing.
#[cfg(unix)]
fn read_again(service: Service, queue: BuildQueue, base: QueueOptions, path: PathBuf) {
    use tokio::signal::unix::{SignalKind, signal};
    tokio::spawn(async move {
        let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
        while hangups.recv().await.is_some() {
            let read = Tenants::read(&path).map_err(|error| with_sources(&error));
            match read.and_then(|tenants| fits(&tenants, &base).map(|()| tenants)) {
                Ok(tenants) => {
                    let options = queue_options(base.clone(), tenants.all());
                    service.let_in(Access::Tokens(tenants));
                    if let Err(error) = queue.set_options(options).await {
                        tracing::error!("{}", with_sources(&error));
                    }
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
    });
}

/// There is no SIGHUP here.
#[cfg(not(unix))]
fn read_again(_: Service, _: BuildQueue, _: QueueOptions, _: PathBuf) {}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn check(arguments: &[&str]) -> Result<(), String> {
        let arguments = ["serve"].iter().chain(arguments);
        let read = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        read.serve.check().map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn nobody_else_is_let_in_or_reads_along_by_mistake() {
        for arguments in [
            &[][..],
            &["--listen=[::1]:0"],
            &["--listen=0.0.0.0:80", "--tenants=t", "--insecure-http"],
            &["--listen=[::]:443", "--tenants=t", "--tls-cert=c", "--tls-key=k"],
            &["token"],
        ] {
            assert_eq!(check(arguments), Ok(()), "{arguments:?}");
        }
        for (arguments, words) in [
            (&["--listen=0.0.0.0:80"][..], "nobody would need a token"),
            (&["--listen=[::]:80", "--insecure-http"], "nobody would need a token"),
            (&["--listen=10.0.0.1:80", "--tenants=t"], "unencrypted"),
            (&["--tls-cert=c"], "--tls-key"),
            (&["--tls-key=k"], "--tls-cert"),
            (&["--tls-cert=c", "--tls-key=k", "--insecure-http"], "cannot be used with"),
            (&["--listen=localhost"], "invalid value"),
            (&["token", "--grace=1s"], "unexpected argument"),
        ] {
            let error = check(arguments).expect_err("refused");
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}
