//! `/metrics`: everything that is counted, in the text format of OpenMetrics, which Prometheus asks for first.
//!
//! What others count already (the queue, the key ring, [`Statistics`](crate::Statistics), the kernel) is read when somebody asks and
//! kept nowhere.

use std::fmt;
use std::fs;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::external::{External, locked};
use crate::metrics::{EXTERNAL_SECRET, SEALED_SECRET};
use crate::reconcile::Context;

/// The media type of [`Exposition::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Ticks a second in which the kernel counts the time of a process, on every architecture that we build for.
const TICKS: u64 = 100;

/// Writes out what a controller has counted.
#[derive(Debug)]
pub struct Exposition(Registry);

impl Exposition {
    /// Of the controller with this `context`, and what it does about ExternalSecrets.
    pub(crate) fn new(context: Arc<Context>, external: Option<Arc<External>>) -> Self {
        let metrics = &context.statistics.metrics;
        let mut registry = Registry::default();
        let version = env!("CARGO_PKG_VERSION");
        let build: Gauge = Gauge::default();
        build.set(1);
        let upstream = registry.sub_registry_with_prefix("sealed_secrets_controller");
        upstream.sub_registry_with_label(("revision".into(), version.into())).register(
            "build_info",
            "Build information",
            build,
        );
        upstream.register(
            "unseal_requests",
            "Total number of sealed secret unseal requests",
            metrics.unseal_requests.clone(),
        );
        upstream.register(
            "unseal_errors",
            "Total number of sealed secret unseal errors by reason",
            metrics.unseal_errors.clone(),
        );
        upstream.register("http_requests", "A counter for requests to the wrapped handler", metrics.requests.clone());
        upstream.register_with_unit(
            "http_request_duration",
            "A histogram of latencies for requests",
            Unit::Seconds,
            metrics.request_durations.clone(),
        );
        let own = registry.sub_registry_with_prefix("bulla_controller");
        own.register("build", "The version that runs", Info::new([("version", version)]));
        own.register("reconciles", "Objects worked on, by what became of them", metrics.passes.clone());
        own.register_with_unit(
            "reconcile_duration",
            "How long the work on one object took",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        own.register("api_writes", "Objects created or replaced in the cluster", metrics.writes.clone());
        own.register("watch_restarts", "Watches that were interrupted and begun anew", metrics.watch_restarts.clone());
        registry.register_collector(Box::new(Live { context, external }));
        Self(registry)
    }

    /// The text for one answer.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail, and neither do our collectors.
        let _ = encode(&mut text, &self.0);
        text
    }
}

/// What is read when somebody asks.
struct Live {
    context: Arc<Context>,
    external: Option<Arc<External>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { context, external } = self;
        let ring = context.ring.borrow().clone();
        let mut page = Page(&mut encoder);
        page.conditions(context)?;
        page.one_counter(
            "bulla_controller_private_key_operations",
            "Operations with private sealing keys.",
            ring.private_key_operations(),
        )?;
        let mut kinds = vec![(SEALED_SECRET, context.queue.lengths(), context.index().count())];
        if let Some(external) = external {
            kinds.push((EXTERNAL_SECRET, external.queue.lengths(), locked(&external.index).count()));
        }
        let depths = kinds.iter().flat_map(|(kind, queue, _)| {
            let states = [("ready", queue.ready), ("delayed", queue.delayed), ("running", queue.running)];
            states.map(|(state, count)| ([("kind", *kind), ("state", state)], count))
        });
        page.gauge(
            "bulla_controller_queue_depth",
            "Objects in line, by whether they are to be worked on now, later, or are in work.",
            &depths.collect::<Vec<_>>(),
        )?;
        let objects: Vec<_> = kinds.iter().map(|(kind, _, count)| ([("kind", *kind)], *count)).collect();
        page.gauge("bulla_controller_objects", "Objects that are looked after.", &objects)?;
        page.one_gauge("bulla_controller_sealing_keys", "Sealing keys that open.", ring.keys().len())?;
        if let Some(certificate) = ring.active().and_then(|key| key.certificate().ok()) {
            page.seconds(
                "bulla_controller_certificate_expiry_timestamp",
                "When the certificate that is handed out expires, in seconds since 1970.",
                certificate.not_after().as_second(),
            )?;
        }
        page.process(context.statistics.metrics.started)
    }
}

/// Metrics one after the other.
struct Page<'p, 'e>(&'p mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn gauge<L: EncodeLabelSet>(&mut self, name: &str, help: &str, series: &[(L, usize)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            metric.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }

    fn one_counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn one_gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn seconds(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?.encode_gauge(&value)
    }

    fn conditions(&mut self, context: &Context) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(
            "sealed_secrets_controller_condition_info",
            "Current SealedSecret condition status. Values are -1 (false), 0 (unknown or absent), 1 (true).",
            None,
            MetricType::Gauge,
        )?;
        for (name, synced) in &*context.statistics.metrics.synced() {
            let labels = [
                ("namespace", name.namespace.as_str()),
                ("name", name.name.as_str()),
                ("condition", "Synced"),
                ("ss_app_kubernetes_io_instance", &*synced.instance),
            ];
            metric.encode_family(&labels)?.encode_gauge(&synced.value)?;
        }
        Ok(())
    }

    /// What the kernel says of this process; where it says nothing, there is no series.
    fn process(&mut self, started: f64) -> fmt::Result {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        if let Some(ticks) = processor_ticks(&text("stat")) {
            let help = "Total user and system CPU time spent in seconds.";
            let unit = Some(&Unit::Seconds);
            let mut metric = self.0.encode_descriptor("process_cpu", help, unit, MetricType::Counter)?;
            let hundredths = u32::try_from(ticks).unwrap_or(u32::MAX);
            let seconds = f64::from(hundredths) / f64::from(u32::try_from(TICKS).unwrap_or(1));
            metric.encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        }
        if let Some(kibibytes) = resident(&text("status")) {
            let help = "Resident memory size in bytes.";
            let unit = Some(&Unit::Bytes);
            let mut metric = self.0.encode_descriptor("process_resident_memory", help, unit, MetricType::Gauge)?;
            metric.encode_gauge(&kibibytes.saturating_mul(1024))?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.one_gauge("process_open_fds", "Number of open file descriptors.", files.count())?;
        }
        let help = "Start time of the process since unix epoch in seconds.";
        let unit = Some(&Unit::Seconds);
        self.0.encode_descriptor("process_start_time", help, unit, MetricType::Gauge)?.encode_gauge(&started)
    }
}

/// User and system time of `/proc/self/stat`, the 14th and 15th field. The second one may hold blanks and parentheses.
fn processor_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

/// `VmRSS` of `/proc/self/status`, in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10 18446744073709551615";
        assert_eq!(processor_ticks(stat), Some(300));
        assert_eq!(resident("Name:\ta\nVmRSS:\t   1024 kB\nVmData: 1 kB\n"), Some(1024));
        assert_eq!(processor_ticks(""), None);
        assert_eq!(resident("VmRSS:"), None);
    }
}
