//! `bulla keyservice`

use std::fmt;
use std::io::{self, BufRead as _, Write as _};
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bulla_keys::service::{Asked, Limits, Listener, Served, ServiceAddress, serve};
use bulla_keys::{KeyName, KeySources, MasterKey};
use bulla_services::NamedBy;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::identities::IdentityArgs;
use crate::services;
use crate::shown::escape;

/// Wrap and unwrap data keys for other programs, with the keys that are here
///
/// SOPS' key service: `bulla decrypt --keyservice URL` and `sops decrypt --keyservice URL` ask it for what they cannot do themselves. Whoever
/// reaches it can open what these keys open; a socket (--network unix) is its owner's alone, a port is everybody's on this host.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla keyservice --network unix --address ~/keys.sock     for programs of the same user
  ssh -R /tmp/keys.sock:$HOME/keys.sock build               and for another host, over SSH
  SOPS_KEYSERVICE=unix:///tmp/keys.sock bulla decrypt FILE  there")]
pub(crate) struct KeyServiceCommand {
    /// `tcp`, one of its versions, or `unix`
    #[arg(
        long,
        visible_alias = "net",
        value_name = "NETWORK",
        default_value = "tcp",
        value_parser = ["tcp", "tcp4", "tcp6", "unix"]
    )]
    network: String,

    /// Where to listen: HOST:PORT, or the path of a socket
    #[arg(long, visible_alias = "addr", value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    address: String,

    /// Ask on the terminal before each request is done
    #[arg(long)]
    prompt: bool,

    /// Tell each request, and what became of it
    #[arg(long)]
    verbose: bool,

    /// File with age identities or an SSH private key, before those that SOPS finds; repeatable
    #[arg(long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,
}

/// What a key service does, and says.
pub(crate) struct Serving {
    /// Ask before each request is done.
    pub(crate) prompt: bool,
    /// Tell each request, and what became of it.
    pub(crate) verbose: bool,
    /// How something is told.
    pub(crate) tell: Arc<Tell>,
}

/// Tells something, on standard error.
pub(crate) type Tell = dyn Fn(&Context, &str) + Send + Sync;

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("prompt", &self.prompt).field("verbose", &self.verbose).finish_non_exhaustive()
    }
}

pub(crate) fn keyservice(cx: &Context, args: &KeyServiceCommand) -> Result<(), CommandError> {
    let address = listen_address(&args.network, &args.address)?;
    let identities = IdentityArgs::of_files(args.identities.clone());
    let tell = Arc::new(|cx: &Context, message: &str| cx.status(message));
    serve_keys(cx, &address, identities, Serving { prompt: args.prompt, verbose: args.verbose, tell })
}

/// `--network` and `--address` together.
///
/// # Errors
/// [`Exit::Usage`] if they are no place to listen at, a network of another name in the words of sops: whoever means a socket of their own
/// and writes `unxi` is not to serve their keys on a port.
pub(crate) fn listen_address(network: &str, address: &str) -> Result<ServiceAddress, CommandError> {
    match network {
        // A socket is found again from another directory.
        "unix" => match std::path::absolute(address) {
            Ok(path) => Ok(ServiceAddress::Unix(path)),
            Err(error) => Err(CommandError::new(Exit::Usage, error).at("--address")),
        },
        "tcp" | "tcp4" | "tcp6" => {
            // Go's name for every address of the host is none.
            let host = match network {
                _ if !address.starts_with(':') => "",
                "tcp6" => "[::]",
                _ => "0.0.0.0",
            };
            let place: ServiceAddress = format!("tcp://{host}{address}").parse()?;
            if network == "tcp" { Ok(place) } else { of_version(network, place) }
        }
        _ => Err(CommandError::new(Exit::Usage, format!("listen {network}: unknown network {network}"))
            .hint("`unix` is a socket of its owner alone, `tcp` a port that everybody on this host reaches")),
    }
}

/// The first address of a place that is of this version of IP.
fn of_version(network: &str, place: ServiceAddress) -> Result<ServiceAddress, CommandError> {
    let ServiceAddress::Tcp(address) = place else { return Ok(place) };
    let addresses = address.to_socket_addrs();
    let mut addresses = addresses.map_err(|error| CommandError::new(Exit::Usage, error).at(&address))?;
    let found = addresses.find(|address| address.is_ipv6() == (network == "tcp6"));
    let found = found.map(|address| ServiceAddress::Tcp(address.to_string()));
    found.ok_or_else(|| {
        CommandError::new(Exit::Usage, format!("listen {network}: address {address}: no suitable address found"))
    })
}

/// Serves with these identities and the services of the environment, until SIGINT, SIGTERM or SIGHUP; the file of a socket is removed then.
///
/// # Errors
/// [`Exit::Failed`] if it cannot be listened there.
pub(crate) fn serve_keys(
    cx: &Context,
    address: &ServiceAddress,
    identities: IdentityArgs,
    serving: Serving,
) -> Result<(), CommandError> {
    let failed = |error: &dyn fmt::Display| CommandError::new(Exit::Failed, error.to_string());
    let tell = Arc::clone(&serving.tell);
    let desk = Arc::new(Desk::new(cx, identities, serving)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let outcome = runtime.block_on(async {
        let [mut interrupt, mut terminate, mut hang_up] = signals().map_err(|error| failed(&error))?;
        let listener = Listener::bind(address).await.map_err(|error| failed(&error))?;
        let port = listener.port();
        if let Some(port) = port.filter(|port| !port.ip().is_loopback()) {
            cx.warn(format_args!(
                "{port} is reached from other hosts: whoever does opens what your keys open, and the data keys pass unencrypted"
            ));
        }
        let place = port.map_or_else(|| address.to_string(), |port| format!("tcp://{port}"));
        tell(cx, &format!("Listening on {place}"));
        let end = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
        };
        serve(listener, desk, Limits::default(), end).await;
        Ok(())
    });
    // A question that nobody answers does not keep the program.
    runtime.shutdown_background();
    outcome
}

/// What ends it.
fn signals() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
}

/// The keys that are served, and whoever is asked about it.
#[derive(Debug)]
struct Desk {
    cx: &'static Context,
    identities: IdentityArgs,
    serving: Serving,
    /// Logins and connections outlive a request; what was unwrapped does not.
    shared: KeySources<'static>,
    /// One question at a time.
    question: Mutex<()>,
}

impl Desk {
    fn new(cx: &Context, identities: IdentityArgs, serving: Serving) -> Result<Self, CommandError> {
        // There is one, and it is there as long as the program is.
        let cx: &'static Context = Box::leak(Box::new(Context::new(cx.is_quiet())));
        // What cannot be read is told now, and not to the first who asks.
        let shared = services::key_sources(cx, identities.gather(cx)?);
        Ok(Self { cx, identities, serving, shared, question: Mutex::default() })
    }
}

impl Served for Desk {
    fn key(&self, name: &KeyName) -> Option<Box<dyn MasterKey>> {
        // Read again for each request: a key file may have been written meanwhile. And a person may answer gpg otherwise than before.
        let age = self.identities.gather(self.cx).ok()?;
        let sources = self.shared.afresh(age, LazyLock::new(Box::new(|| services::gpg(self.cx))));
        // Who asks names the key, as a file does.
        sources.key(name, NamedBy::File)
    }

    fn allows(&self, asked: &Asked<'_>) -> bool {
        if !self.serving.prompt {
            return true;
        }
        // A panic while somebody was asked leaves nothing half done.
        let _one = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let question =
                format!("Received {} request using {}. Respond to request? (y/n):", asked.operation, shown(asked.key));
            let _ = write!(io::stderr(), "{} ", escape(&question));
            let mut line = String::new();
            match io::stdin().lock().read_line(&mut line) {
                Ok(length) if length > 0 => {}
                // Nobody is there: then nobody allows it.
                _ => return false,
            }
            match line.trim() {
                "y" => return true,
                "n" => return false,
                _ => {}
            }
        }
    }

    fn ended(&self, asked: &Asked<'_>, outcome: Result<(), &str>) {
        if self.serving.verbose {
            let outcome = outcome.err().unwrap_or("done");
            (self.serving.tell)(self.cx, &format!("{} with {}: {outcome}", asked.operation, shown(asked.key)));
        }
    }
}

/// The name of a key, which a peer gave: the start of it, if it is long.
fn shown(key: &KeyName) -> String {
    key.id().to_string().chars().take(LONGEST_SHOWN).collect()
}

/// Characters of a key's name that are shown. An ARN with its role and an encryption context has some hundred.
const LONGEST_SHOWN: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_and_an_address_are_a_place_to_listen_at() {
        for (network, address, expected) in [
            ("tcp", "127.0.0.1:5000", "tcp://127.0.0.1:5000"),
            ("tcp", ":5000", "tcp://0.0.0.0:5000"),
            ("tcp", "[::1]:0", "tcp://[::1]:0"),
            ("unix", "/run/keys.sock", "unix:///run/keys.sock"),
            ("tcp4", ":5000", "tcp://0.0.0.0:5000"),
            ("tcp4", "127.0.0.1:5000", "tcp://127.0.0.1:5000"),
            ("tcp6", ":5000", "tcp://[::]:5000"),
        ] {
            assert_eq!(listen_address(network, address).unwrap().to_string(), expected);
        }
        assert!(listen_address("unix", "keys.sock").unwrap().to_string().starts_with("unix:///"));
        assert!(listen_address("tcp", "5000").is_err());
        for (network, address, message) in [
            ("unxi", "/run/keys.sock", "listen unxi: unknown network unxi"),
            ("unxi", "127.0.0.1:5000", "listen unxi: unknown network unxi"),
            ("unixpacket", "/run/keys.sock", "listen unixpacket: unknown network unixpacket"),
            ("", "127.0.0.1:5000", "listen : unknown network "),
            ("tcp6", "127.0.0.1:5000", "listen tcp6: address 127.0.0.1:5000: no suitable address found"),
        ] {
            let error = listen_address(network, address).unwrap_err();
            assert!(error.sentence().starts_with(message), "{}", error.sentence());
        }
    }
}
