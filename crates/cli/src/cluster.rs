//! The controller's certificate: from a file, an address, or the cluster, through the API server's service proxy as `kubeseal` does.
//!
//! ```text
//! --cert FILE | URL           no cluster is asked
//! GET …/services/NAME         the name of its first port, which may be empty
//! GET …/services/http:NAME:PORT/proxy/v1/cert.pem
//! ```
//!
//! Source: sealed-secrets 0.38.4 `pkg/kubeseal/kubeseal.go`. The runtime and the client exist only while something is fetched.

use std::path::PathBuf;

use bulla_controller::connection;
use bulla_sealed::Certificate;
use k8s_openapi::api::core::v1::Service;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Api, Client, Config};

use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::read_file;

/// Which cluster, and which controller in it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Name of the controller's Service
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sealed-secrets-controller",
        env = "SEALED_SECRETS_CONTROLLER_NAME",
        hide_env_values = true
    )]
    controller_name: String,

    /// Namespace of the controller
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "kube-system",
        env = "SEALED_SECRETS_CONTROLLER_NAMESPACE",
        hide_env_values = true
    )]
    controller_namespace: String,

    /// Kubeconfig of the cluster, if not $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig, if not its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    /// The namespace of the kubeconfig's context, if there is a kubeconfig and it names one.
    pub(crate) fn namespace(&self) -> Option<String> {
        let kubeconfig = self.kubeconfig().ok()?;
        let name = self.context.as_ref().or(kubeconfig.current_context.as_ref())?;
        let context = kubeconfig.contexts.iter().find(|context| context.name == *name)?;
        context.context.as_ref()?.namespace.clone().filter(|namespace| !namespace.is_empty())
    }

    fn kubeconfig(&self) -> Result<Kubeconfig, kube::config::KubeconfigError> {
        match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        }
    }

    /// Asks the cluster for the PEM text of the certificate that is in use.
    fn fetch(&self) -> Result<String, CommandError> {
        wait(async {
            let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
            let config = match self.kubeconfig() {
                Ok(kubeconfig) => connection::of_kubeconfig(kubeconfig, &options).await.map_err(unreachable)?,
                Err(error) => match Config::incluster() {
                    Ok(config) if self.kubeconfig.is_none() => config,
                    _ => return Err(unreachable(error)),
                },
            };
            let client = Client::try_from(config).map_err(unreachable)?;
            let (name, namespace) = (&self.controller_name, &self.controller_namespace);
            let service = Api::<Service>::namespaced(client.clone(), namespace).get(name).await.map_err(|error| {
                unreachable(error)
                    .at(format_args!("Service `{namespace}/{name}`"))
                    .hint("say where the controller is with `--controller-name` and `--controller-namespace`")
            })?;
            let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
            let port = ports.into_iter().next().and_then(|port| port.name).unwrap_or_default();
            let services = Request::new(format!("/api/v1/namespaces/{namespace}/services"));
            let request = services
                .get_subresource("proxy/v1/cert.pem", &format!("http:{name}:{port}"))
                .map_err(|error| CommandError::new(Exit::Cluster, error))?;
            client
                .request_text(request)
                .await
                .map_err(|error| not_given(error).at(format_args!("controller `{namespace}/{name}`")))
        })
    }
}

/// Where the certificate comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct CertificateArgs {
    /// Certificate to seal with: a file, or an address (http:// or https://); without it the cluster is asked
    #[arg(long, value_name = "FILE|URL", env = "SEALED_SECRETS_CERT", hide_env_values = true)]
    cert: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

impl CertificateArgs {
    /// Gets the certificate, valid or not. The first of the text counts, as everywhere in Sealed Secrets.
    ///
    /// # Errors
    /// [`Exit::Cluster`] if nobody answers; [`Exit::Input`] if what there is is no certificate.
    pub(crate) fn get(&self) -> Result<Certificate, CommandError> {
        match self.cert.as_deref().filter(|cert| !cert.is_empty()) {
            Some(place) => certificate_at(place),
            None => {
                let text = self
                    .cluster
                    .fetch()
                    .map_err(|error| error.hint("without a cluster, name the certificate's file with `--cert`"))?;
                Ok(Certificate::from_pem(text.as_bytes())?)
            }
        }
    }

    /// Gets the certificate to seal with.
    ///
    /// # Errors
    /// As [`CertificateArgs::get`], and [`Exit::Expired`].
    pub(crate) fn get_valid(&self, cx: &Context) -> Result<Certificate, CommandError> {
        valid(self.get()?, cx)
    }
}

/// Reads the certificate of a file, or fetches that of an address. The first of the text counts.
///
/// # Errors
/// As [`CertificateArgs::get`].
pub(crate) fn certificate_at(place: &str) -> Result<Certificate, CommandError> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return from_url(place);
    }
    let path = PathBuf::from(place.strip_prefix("file://").unwrap_or(place));
    Certificate::from_pem(&read_file(&path)?.bytes).in_file(&path)
}

/// Refuses a certificate that is expired.
///
/// # Errors
/// [`Exit::Expired`].
pub(crate) fn valid(certificate: Certificate, cx: &Context) -> Result<Certificate, CommandError> {
    if certificate.expired(cx.now()) {
        let date = certificate.not_after().strftime("%B %-d, %Y").to_string();
        let message = format!("failed to encrypt using an expired certificate on {date}");
        return Err(CommandError::new(Exit::Expired, message).hint("fetch the certificate in use with `bulla cert`"));
    }
    Ok(certificate)
}

/// Fetches a certificate from an address, such as a controller's `/v1/cert.pem`.
pub(crate) fn from_url(url: &str) -> Result<Certificate, CommandError> {
    let wrong = || CommandError::new(Exit::Usage, "not an address of a certificate").at(url);
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = if folder.is_empty() { String::new() } else { format!("/{folder}") };
    let request = Request::new(folder).get(name, &kube::api::GetParams::default()).map_err(|_| wrong())?;
    let origin = format!("{scheme}://{host}").parse().map_err(|_| wrong())?;
    let text = wait(async {
        let client = Client::try_from(Config::new(origin)).map_err(unreachable)?;
        client.request_text(request).await.map_err(|error| unreachable(error).at(url))
    })?;
    Certificate::from_pem(text.as_bytes()).map_err(|error| CommandError::from(error).at(url))
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be fetched")]
struct Unreachable<E: std::error::Error + 'static>(#[source] E);

fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::new(Exit::Cluster, Unreachable(error))
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be fetched: {code} {message}")]
struct Answered {
    code: u16,
    message: String,
}

/// What came back through the API server's proxy instead of a certificate: an answer of the API server, or of the controller.
fn not_given(error: kube::Error) -> CommandError {
    let kube::Error::Api(status) = error else { return unreachable(error) };
    let hint = match status.code {
        401 | 403 => {
            "this user needs `get` on `services/proxy` there; or fetch the certificate elsewhere and use `--cert FILE`"
        }
        _ => "it is not running or not ready yet: `kubectl get pods` in its namespace, and its log, tell",
    };
    let answered = Answered { code: status.code, message: status.message.trim().to_owned() };
    CommandError::new(Exit::Cluster, answered).hint(hint)
}

/// Runs `work` on a runtime of its own, on this thread.
fn wait<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::new(Exit::Failed, error))?;
    runtime.block_on(work)
}
