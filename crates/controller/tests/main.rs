//! The controller against a real control plane and the real programs of Sealed Secrets.
