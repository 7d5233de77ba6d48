//! `bulla-sealed` against the real kubeseal.

mod kubeseal;
