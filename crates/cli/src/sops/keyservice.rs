//! `sops keyservice`: keys are used for others, as by `bulla keyservice`. What it says, it says in its log, if somebody wants to know.

use std::sync::Arc;

use crate::commands::keyservice::{Serving, listen_address, serve_keys};
use crate::identities::IdentityArgs;

use super::failure::{Failure, code};
use super::go::{Level, log_line};
use super::{Outcome, Run};

pub(super) fn keyservice(run: &Run<'_>) -> Outcome {
    let or = |name: &str, otherwise: &str| {
        let given = run.flags.text(name);
        if run.flags.is_given(name) { given } else { otherwise.to_owned() }
    };
    let failed = |error| {
        let failure = Failure::of(code::FAILED, "", error);
        run.log_as("KEYSERVICE", Level::Error, &format!("Error running keyservice: {}", failure.message()), &[]);
        failure
    };
    let address = listen_address(&or("network", "tcp"), &or("address", "127.0.0.1:5000")).map_err(failed)?;
    let tells = run.global.is("verbose") || run.flags.is("verbose");
    let tell = move |cx: &crate::context::Context, message: &str| {
        if tells {
            cx.say(&log_line("KEYSERVICE", Level::Info, message, &[], cx.now()));
        }
    };
    let serving = Serving { prompt: run.flags.is("prompt"), verbose: tells, tell: Arc::new(tell) };
    serve_keys(run.cx, &address, IdentityArgs::default(), serving).map_err(failed)
}
