//! What the documents show, held against what happens.
//!
//! ```text
//! README.md, docs/**.md ── page ──▶ fences and comments ── shell ──▶ one bash a page ──▶ ended well? printed what the page says?
//! docs/examples/**      ── examples ──▶ kubectl, bulla check, decrypt, a controller
//! docs/errors.md        ── reasons ───▶ the words in the code
//! ```

mod examples;
mod page;
mod reasons;
mod shell;
