//! The way to the API server that a kubeconfig names.

use http::Uri;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// How to reach the API server of `kubeconfig`, with the context that `options` name.
///
/// The proxy is that of the cluster's entry, or that of the environment (`HTTPS_PROXY`, `NO_PROXY`). As for kubectl, the latter does not
/// count for a server on this machine.
///
/// # Errors
/// [`KubeconfigError`]
pub async fn of_kubeconfig(kubeconfig: Kubeconfig, options: &KubeConfigOptions) -> Result<Config, KubeconfigError> {
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let proxies: Vec<String> = clusters.filter_map(|cluster| cluster.proxy_url.clone()).collect();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, options).await?;
    let is_of_environment =
        |proxy: &Uri| !proxies.iter().any(|named| named.parse::<Uri>().is_ok_and(|named| named == *proxy));
    if is_on_this_machine(&config.cluster_url) && config.proxy_url.as_ref().is_some_and(is_of_environment) {
        config.proxy_url = None;
    }
    Ok(config)
}

fn is_on_this_machine(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_is_known_by_its_address() {
        for (server, expected) in [
            ("https://127.0.0.1:6443", true),
            ("https://[::1]:6443", true),
            ("https://LOCALHOST", true),
            ("https://10.0.0.1:6443", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_on_this_machine(&server.parse().unwrap()), expected, "{server}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_the_kubeconfig_names_counts_for_every_server() {
        let read = |proxy: &str| {
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
                 users: [{{name: a, user: {{}}}}]\n\
                 clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:6443'{proxy}}}}}]\n"
            );
            Kubeconfig::from_yaml(&text).unwrap()
        };
        let options = KubeConfigOptions::default();
        let named = of_kubeconfig(read(", proxy-url: 'http://127.0.0.1:3128'"), &options).await.unwrap();
        assert_eq!(named.proxy_url.unwrap(), "http://127.0.0.1:3128");
        assert!(of_kubeconfig(read(""), &options).await.unwrap().proxy_url.is_none());
    }
}
