//! KS002: Secrets inside other objects: in an annotation, a text, a template, the manifest that another controller applies.

use bulla_yaml::Kind;

use crate::context::{Context, inside};
use crate::credentials;
use crate::object::{is, is_secret, objects, title};
use crate::place::Place;
use crate::rule::Rule;
use crate::rules::secret;
use crate::text::Text;

/// Texts longer than this are data, not manifests.
const LONGEST: usize = 1 << 20;

/// Looks for Secrets below `top` that are none of its own `objects`.
pub(crate) fn check<'s>(cx: &mut Context<'_>, text: &Text<'s>, top: &Place<'s>, objects_of_top: &[Place<'s>]) {
    let mut secrets = Vec::new();
    let mut texts = Vec::new();
    top.walk(|place| match place.node.kind() {
        Kind::Mapping => {
            let is_own = || objects_of_top.iter().any(|object| object.node.id() == place.node.id());
            if is_secret(place) && !is_own() {
                secrets.push(place.clone());
            }
        }
        Kind::Scalar if may_hold_a_secret(place.node.value()) => texts.push(place.clone()),
        _ => {}
    });
    for secret in secrets {
        secret::check(cx, text, &secret, Rule::KS002);
    }
    for place in texts {
        inside(text, &place, &mut |inner, tops| {
            for top in tops {
                let objects = objects(top);
                for object in objects.iter().filter(|object| is_secret(object)) {
                    secret::check(cx, inner, object, Rule::KS002);
                }
                check(cx, inner, top, &objects);
            }
        });
    }
}

/// Is it a text in which a manifest of a Secret could be?
fn may_hold_a_secret(value: &str) -> bool {
    value.len() > 20
        && value.len() < LONGEST
        && (value.contains('\n') || value.trim_start().starts_with('{'))
        && value.contains("Secret")
        && (value.contains("data") || value.contains("stringData"))
}

/// The template of an ExternalSecret: what it writes beside what comes from the store.
pub(crate) fn check_external<'s>(cx: &mut Context<'_>, text: &Text<'s>, object: &Place<'s>) {
    const VERSIONS: &[&str] = &["external-secrets.io/"];
    let target: &[&str] = if is(object, "ExternalSecret", VERSIONS) {
        &["spec", "target", "template", "data"]
    } else if is(object, "ClusterExternalSecret", VERSIONS) {
        &["spec", "externalSecretSpec", "target", "template", "data"]
    } else {
        return;
    };
    if let Some(data) = object.at(target) {
        credentials::scan(cx, text, &data, Rule::KS002, &format!("template of {}", title(object)));
    }
}
