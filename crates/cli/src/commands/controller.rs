//! `bulla controller`

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bulla_controller::{Drift, ExternalOptions, KeyOptions, Namespaces, Options};
use bulla_sealed::KeyOrder;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use tracing_subscriber::EnvFilter;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Run in a cluster: SealedSecrets and ExternalSecrets become Secrets, and stay what they say
///
/// Makes and keeps the sealing keys, serves the certificate at /v1/cert.pem, and tells its state at /healthz, /readyz and
/// /metrics. Options with the names of Sealed Secrets' controller mean the same, and so do their environment variables. Log
/// lines go to standard error.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla controller                                            in a pod, with its service account
  bulla controller --kubeconfig ~/.kube/config -n kube-system --listen 127.0.0.1:8080")]
pub(crate) struct ControllerArgs {
    /// Kubeconfig of the cluster, where this does not run in a pod
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Namespace of the controller, where its keys are; default: that of the pod, or of the kubeconfig
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Look after SealedSecrets in these namespaces only, not in the whole cluster
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,

    /// Look only after SealedSecrets with these labels
    #[arg(
        long,
        value_name = "SELECTOR",
        default_value = "",
        env = "SEALED_SECRETS_LABEL_SELECTOR",
        hide_env_values = true
    )]
    label_selector: String,

    /// What to do about Secrets that somebody else changed
    #[arg(long, value_name = "WHAT", default_value = "ignore")]
    drift: DriftName,

    /// Refuse SealedSecrets of the old format (`spec.data`)
    #[arg(long)]
    refuse_deprecated_data: bool,

    /// Look after ExternalSecrets as well: values of external stores become Secrets
    ///
    /// Where External Secrets runs too, both would write the same Secrets: give the stores a `spec.controller`, and its name with
    /// --controller-class to the one that is to look after them.
    #[arg(long, help_heading = "External stores")]
    external_secrets: bool,

    /// Of the stores that name a controller, look after those that name this one
    #[arg(long, value_name = "CLASS", default_value = "default", help_heading = "External stores")]
    controller_class: String,

    /// How many objects of each kind to work on at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = parse_concurrency)]
    concurrency: usize,

    /// Address for /v1/cert.pem, /healthz and /readyz; `none` serves nothing
    #[arg(long, alias = "listen-addr", value_name = "ADDRESS", default_value = ":8080", value_parser = parse_listen, env = "SEALED_SECRETS_LISTEN_ADDR", hide_env_values = true)]
    listen: Listen,

    /// Address for /metrics; `none` serves none
    #[arg(long, alias = "listen-metrics-addr", value_name = "ADDRESS", default_value = ":8081", value_parser = parse_listen, env = "SEALED_SECRETS_LISTEN_METRICS_ADDR", hide_env_values = true)]
    listen_metrics: Listen,

    #[command(flatten)]
    keys: KeyArgs,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sealing keys")]
struct KeyArgs {
    /// What the names of key Secrets start with
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "sealed-secrets-key",
        env = "SEALED_SECRETS_KEY_PREFIX",
        hide_env_values = true
    )]
    key_prefix: String,

    /// Length of new keys in bits
    #[arg(long, value_name = "BITS", default_value_t = 4096, env = "SEALED_SECRETS_KEY_SIZE", hide_env_values = true)]
    key_size: usize,

    /// How long new certificates are valid
    #[arg(long, value_name = "DURATION", default_value = "87600h", value_parser = parse_duration, env = "SEALED_SECRETS_KEY_TTL", hide_env_values = true)]
    key_ttl: SignedDuration,

    /// Age of the newest key at which a new one is made; 0 for never
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = parse_duration, env = "SEALED_SECRETS_KEY_RENEW_PERIOD", hide_env_values = true)]
    key_renew_period: SignedDuration,

    /// Make a new key at start if the newest is from before this time (as `date -R` prints it, or RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time, env = "SEALED_SECRETS_KEY_CUTOFF_TIME", hide_env_values = true)]
    key_cutoff_time: Option<Timestamp>,

    /// What decides which key is the newest
    #[arg(
        long,
        value_name = "ORDER",
        default_value = "CertNotBefore",
        env = "SEALED_SECRETS_KEY_ORDER_PRIORITY",
        hide_env_values = true
    )]
    key_order_priority: OrderName,

    /// Common name of new certificates
    #[arg(long, value_name = "NAME", default_value = "", env = "SEALED_SECRETS_MY_CN", hide_env_values = true)]
    my_cn: String,

    /// Further labels of new key Secrets, as name=value,…
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = parse_pair, env = "SEALED_SECRETS_PRIVATEKEY_LABELS", hide_env_values = true)]
    privatekey_labels: Vec<(String, String)>,

    /// Annotations of new key Secrets, as name=value,…
    #[arg(long, value_name = "ANNOTATIONS", value_delimiter = ',', value_parser = parse_pair, env = "SEALED_SECRETS_PRIVATEKEY_ANNOTATIONS", hide_env_values = true)]
    privatekey_annotations: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log")]
struct LogArgs {
    /// How much to log
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true,
        env = "SEALED_SECRETS_LOG_LEVEL",
        hide_env_values = true
    )]
    log_level: Level,

    /// How to write it
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "SEALED_SECRETS_LOG_FORMAT",
        hide_env_values = true
    )]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DriftName {
    /// Nothing, until the SealedSecret changes
    Ignore,
    /// Make the Secret again what the SealedSecret says
    Revert,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OrderName {
    /// From when on its certificate is valid
    #[value(name = "CertNotBefore")]
    CertNotBefore,
    /// When its Secret was created
    #[value(name = "SecretCreationTimestamp")]
    SecretCreationTimestamp,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Where to listen, if at all.
type Listen = Option<SocketAddr>;

pub(crate) fn controller(_: &Context, args: ControllerArgs) -> Result<(), CommandError> {
    start_log(&args.log);
    let options = args.options();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::new(Exit::Failed, error))?;
    Ok(runtime.block_on(bulla_controller::run(options))?)
}

impl ControllerArgs {
    fn options(self) -> Options {
        let Self { keys, .. } = self;
        Options {
            kubeconfig: self.kubeconfig,
            namespace: self.namespace,
            namespaces: if self.namespaces.is_empty() { Namespaces::All } else { Namespaces::Only(self.namespaces) },
            label_selector: self.label_selector,
            keys: KeyOptions {
                prefix: keys.key_prefix,
                size: keys.key_size,
                valid_for: keys.key_ttl,
                renew_period: Duration::try_from(keys.key_renew_period).ok().filter(|period| !period.is_zero()),
                cutoff: keys.key_cutoff_time,
                order: match keys.key_order_priority {
                    OrderName::CertNotBefore => KeyOrder::CertificateNotBefore,
                    OrderName::SecretCreationTimestamp => KeyOrder::SecretCreation,
                },
                common_name: keys.my_cn,
                labels: keys.privatekey_labels.into_iter().collect::<BTreeMap<_, _>>(),
                annotations: keys.privatekey_annotations.into_iter().collect(),
            },
            accept_deprecated_data: !self.refuse_deprecated_data,
            drift: match self.drift {
                DriftName::Ignore => Drift::Ignore,
                DriftName::Revert => Drift::Revert,
            },
            listen: self.listen,
            listen_metrics: self.listen_metrics,
            external: self
                .external_secrets
                .then_some(ExternalOptions { class: self.controller_class, ..ExternalOptions::default() }),
            concurrency: self.concurrency,
        }
    }
}

/// Our own messages from the level asked for, and warnings of the libraries.
fn start_log(args: &LogArgs) {
    let level = match args.log_level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let filter = EnvFilter::new(format!("warn,bulla_controller={level},bulla_sealed={level}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(None);
    }
    let address = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        None => text.parse().ok(),
    };
    address.map(Some).ok_or_else(|| "expected an address and a port, such as `:8080` or `127.0.0.1:8080`".to_owned())
}

fn parse_concurrency(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number from 1".to_owned())
}

fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    if text == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let duration = text.parse().ok().filter(|duration: &SignedDuration| !duration.is_negative());
    duration.ok_or_else(|| "expected a duration, such as `720h` or `2h30m`".to_owned())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time = rfc2822::parse(text).map(|time| time.timestamp()).or_else(|_| text.parse());
    time.map_err(|_| "expected a time as `date -R` prints it, or RFC 3339".to_owned())
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected `name=value`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: ControllerArgs,
    }

    fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
        CommandLine::try_parse_from([&["controller"], arguments].concat()).map(|line| line.args.options())
    }

    #[test]
    fn without_options_it_runs_as_the_library_does_by_default() {
        assert_eq!(format!("{:?}", options(&[]).unwrap()), format!("{:?}", Options::default()));
    }

    #[test]
    fn values_are_read_as_upstream_reads_them() {
        let options = options(&[
            "--listen-addr=127.0.0.1:0",
            "--listen-metrics-addr=none",
            "--key-renew-period=0",
            "--key-ttl=2h30m",
            "--key-cutoff-time=Sat, 21 Nov 2026 13:00:00 +0100",
            "--privatekey-labels=a=b,c=",
            "--namespaces=x,y",
            "--key-order-priority=SecretCreationTimestamp",
        ])
        .unwrap();
        assert_eq!(options.listen, Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(options.listen_metrics, None);
        assert_eq!(options.keys.renew_period, None);
        assert_eq!(options.keys.valid_for, SignedDuration::from_mins(150));
        assert_eq!(options.keys.cutoff, Some("2026-11-21T12:00:00Z".parse().unwrap()));
        assert_eq!(options.keys.labels, BTreeMap::from([("a".into(), "b".into()), ("c".into(), String::new())]));
        assert_eq!(options.namespaces, Namespaces::Only(vec!["x".into(), "y".into()]));
        assert_eq!(options.keys.order, KeyOrder::SecretCreation);
        assert_eq!(options.external, None, "two controllers that write the same are worse than none");
    }

    #[test]
    fn external_secrets_are_looked_after_when_that_is_asked_for() {
        let class = |arguments: &[&str]| options(arguments).unwrap().external.map(|external| external.class);
        assert_eq!(class(&["--external-secrets"]), Some("default".to_owned()));
        assert_eq!(class(&["--external-secrets", "--controller-class=ours"]), Some("ours".to_owned()));
        assert_eq!(class(&["--controller-class=ours"]), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in [
            "--listen=8080",
            "--key-ttl=-1h",
            "--key-ttl=soon",
            "--key-cutoff-time=yesterday",
            "--privatekey-labels=a",
            "--concurrency=0",
            "--drift=fix",
        ] {
            assert!(options(&[arguments]).is_err(), "{arguments}");
        }
    }
}
