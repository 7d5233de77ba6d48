//! Under which name and namespace a sealed value opens.
//!
//! The scope of a SealedSecret stands in its own annotations, and the label that its values were sealed with follows from it. The key
//! of an item is not part of the label: items may be renamed. Source: sealed-secrets 0.38.4 `sealedsecret_expansion.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bulla_api::sealed_secret::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};

/// Where a sealed value opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In a SealedSecret of one name in one namespace.
    #[default]
    Strict,
    /// In every SealedSecret of one namespace.
    NamespaceWide,
    /// In every SealedSecret of the cluster.
    ClusterWide,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::NamespaceWide, Self::ClusterWide];

    /// The scope that annotations tell: exactly `true` counts, and cluster-wide wins over namespace-wide.
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let set = |name| annotations.and_then(|all| all.get(name)).is_some_and(|value| value == "true");
        if set(CLUSTER_WIDE_ANNOTATION) {
            Self::ClusterWide
        } else if set(NAMESPACE_WIDE_ANNOTATION) {
            Self::NamespaceWide
        } else {
            Self::Strict
        }
    }

    /// What values of this scope are sealed with: `namespace/name`, `namespace`, or nothing.
    pub fn label(self, namespace: &str, name: &str) -> Vec<u8> {
        match self {
            Self::Strict => format!("{namespace}/{name}").into_bytes(),
            Self::NamespaceWide => namespace.as_bytes().to_vec(),
            Self::ClusterWide => Vec::new(),
        }
    }

    /// The annotation that tells this scope when it is `true`; `None` for strict, which is the lack of the other two.
    pub fn annotation(self) -> Option<&'static str> {
        match self {
            Self::Strict => None,
            Self::NamespaceWide => Some(NAMESPACE_WIDE_ANNOTATION),
            Self::ClusterWide => Some(CLUSTER_WIDE_ANNOTATION),
        }
    }

    /// Makes `annotations` tell this scope and no other.
    pub fn annotate(self, annotations: &mut BTreeMap<String, String>) {
        annotations.remove(NAMESPACE_WIDE_ANNOTATION);
        annotations.remove(CLUSTER_WIDE_ANNOTATION);
        if let Some(annotation) = self.annotation() {
            annotations.insert(annotation.to_owned(), "true".to_owned());
        }
    }

    /// Its name on the command line: `strict`, `namespace-wide` or `cluster-wide`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::NamespaceWide => "namespace-wide",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: strict, namespace-wide, cluster-wide")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    /// The empty word means strict, as it does for `kubeseal --scope`.
    fn from_str(word: &str) -> Result<Self, ScopeError> {
        match word {
            "" | "strict" => Ok(Self::Strict),
            "namespace-wide" => Ok(Self::NamespaceWide),
            "cluster-wide" => Ok(Self::ClusterWide),
            _ => Err(ScopeError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_counts_and_cluster_wide_wins() {
        for (annotations, expected) in [
            (vec![], Scope::Strict),
            (vec![(NAMESPACE_WIDE_ANNOTATION, "true")], Scope::NamespaceWide),
            (vec![(CLUSTER_WIDE_ANNOTATION, "true")], Scope::ClusterWide),
            (vec![(NAMESPACE_WIDE_ANNOTATION, "true"), (CLUSTER_WIDE_ANNOTATION, "true")], Scope::ClusterWide),
            (vec![(NAMESPACE_WIDE_ANNOTATION, "true"), (CLUSTER_WIDE_ANNOTATION, "false")], Scope::NamespaceWide),
            (vec![(CLUSTER_WIDE_ANNOTATION, "True")], Scope::Strict),
            (vec![(CLUSTER_WIDE_ANNOTATION, "")], Scope::Strict),
            (vec![("sealedsecrets.bitnami.com/scope", "cluster-wide")], Scope::Strict),
        ] {
            let map = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(Scope::of(Some(&map)), expected, "{annotations:?}");
        }
        assert_eq!(Scope::of(None), Scope::Strict);
    }

    #[test]
    fn the_label_has_a_slash_in_strict_scope_only() {
        assert_eq!(Scope::Strict.label("shop", "db"), b"shop/db");
        assert_eq!(Scope::NamespaceWide.label("shop", "db"), b"shop");
        assert_eq!(Scope::ClusterWide.label("shop", "db"), b"");
    }

    #[test]
    fn annotating_replaces_the_other_scope_and_keeps_the_rest() {
        for scope in Scope::ALL {
            let mut annotations: BTreeMap<_, _> =
                [(CLUSTER_WIDE_ANNOTATION, "true"), (NAMESPACE_WIDE_ANNOTATION, "true"), ("a", "b")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into();
            scope.annotate(&mut annotations);
            assert_eq!(Scope::of(Some(&annotations)), scope);
            assert_eq!(annotations.len(), 1 + usize::from(scope != Scope::Strict));
        }
    }

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!("".parse(), Ok(Scope::Strict));
        assert_eq!("Strict".parse::<Scope>(), Err(ScopeError));
    }
}
