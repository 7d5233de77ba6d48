//! KS006: the values of Helm charts, in files and in the objects that carry them.

use crate::context::{Context, inside};
use crate::credentials;
use crate::object::{is, title};
use crate::place::{Place, Step};
use crate::rule::Rule;
use crate::text::Text;

/// Is a file of this name one of values? `values.yaml`, `values-prod.yaml`, `values.prod.yml`, `prod-values.yaml`.
pub(crate) fn is_values_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let Some(stem) = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")) else { return false };
    stem.split(['.', '-', '_']).any(|part| part == "values")
}

/// The values of a values file.
pub(crate) fn check_file<'s>(cx: &mut Context<'_>, text: &Text<'s>, top: &Place<'s>) {
    let is_object = top.text_of("kind").is_some() && top.text_of("apiVersion").is_some();
    if top.is_mapping() && !is_object {
        credentials::scan(cx, text, top, Rule::KS006, "Helm values");
    }
}

/// The values in objects of Flux, Argo CD, k3s and kustomize.
pub(crate) fn check_object<'s>(cx: &mut Context<'_>, text: &Text<'s>, object: &Place<'s>) {
    let owner = title(object);
    for place in carriers(object) {
        values(cx, text, &place, &owner);
    }
}

fn carriers<'s>(object: &Place<'s>) -> Vec<Place<'s>> {
    let spec = |keys: &[&'static str]| object.get("spec").and_then(|spec| spec.at(keys));
    let mut found = Vec::new();
    if is(object, "HelmRelease", &["helm.toolkit.fluxcd.io/", "helm.fluxcd.io/"]) {
        found.extend(spec(&["values"]));
    } else if is(object, "HelmChart", &["helm.cattle.io/"]) || is(object, "HelmChartConfig", &["helm.cattle.io/"]) {
        found.extend(spec(&["valuesContent"]));
        found.extend(spec(&["set"]));
    } else if is(object, "Application", &["argoproj.io/"]) {
        found.extend(spec(&[]).iter().flat_map(of_sources));
    } else if is(object, "ApplicationSet", &["argoproj.io/"]) {
        found.extend(spec(&["template", "spec"]).iter().flat_map(of_sources));
        if let Some(generators) = spec(&["generators"]) {
            generators.walk(|place| {
                if let [.., Step::Key("list"), Step::Key("elements")] = place.steps[..] {
                    found.push(place.clone());
                }
            });
        }
    }
    let charts = object.get("helmCharts").map(|charts| charts.items()).unwrap_or_default();
    found.extend(charts.iter().filter_map(|chart| chart.get("valuesInline")));
    found
}

/// The values of the sources of an application of Argo CD.
fn of_sources<'s>(spec: &Place<'s>) -> Vec<Place<'s>> {
    let several = spec.get("sources").map(|sources| sources.items()).unwrap_or_default();
    let sources = spec.get("source").into_iter().chain(several);
    let fields = ["values", "valuesObject", "parameters"];
    sources.flat_map(|source| fields.into_iter().filter_map(move |field| source.at(&["helm", field]))).collect()
}

/// A mapping of values, a list of parameters, or a text that holds either.
fn values<'s>(cx: &mut Context<'_>, text: &Text<'s>, place: &Place<'s>, owner: &str) {
    if place.text().is_none() {
        return credentials::scan(cx, text, place, Rule::KS006, owner);
    }
    inside(text, place, &mut |inner, tops| {
        for top in tops {
            credentials::scan(cx, inner, top, Rule::KS006, owner);
        }
    });
}
