//! The table, in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::measure::Cost;

/// What DESIGN asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    /// The peer's wall time is at least this many times bulla's.
    pub(crate) times_faster: f64,
    /// bulla's memory is at most this many bytes, if limited so.
    pub(crate) memory: Option<u64>,
    /// bulla's memory is at most one of this many parts of the peer's, if limited so.
    pub(crate) memory_part: Option<f64>,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) work: String,
    /// With which program it is compared.
    pub(crate) peer: &'static str,
    /// How often.
    pub(crate) repetitions: usize,
    /// Medians of the peer.
    pub(crate) theirs: Cost,
    /// Medians of bulla.
    pub(crate) ours: Cost,
    /// What is asked for.
    pub(crate) target: Target,
}

impl Row {
    fn faster(&self) -> f64 {
        self.theirs.wall.as_secs_f64() / self.ours.wall.as_secs_f64()
    }

    fn memory_ratio(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
        let ratio = self.theirs.memory as f64 / self.ours.memory as f64;
        ratio
    }

    /// Whether the target is reached.
    pub(crate) fn holds(&self) -> bool {
        self.faster() >= self.target.times_faster
            && self.target.memory.is_none_or(|limit| self.ours.memory <= limit)
            && self.target.memory_part.is_none_or(|part| self.memory_ratio() >= part)
    }

    fn target_text(&self) -> String {
        let mut text = format!("≥ {}×", self.target.times_faster);
        if let Some(limit) = self.target.memory {
            write!(text, ", ≤ {}", bytes(limit)).expect("a string takes all");
        }
        if let Some(part) = self.target.memory_part {
            write!(text, ", memory ≤ 1/{part}").expect("a string takes all");
        }
        text
    }
}

/// The whole table, with what it was measured on. `floor` is what a program costs that does nothing.
pub(crate) fn render(rows: &[Row], floor: Cost) -> String {
    let mut text = format!(
        "Measured on {}. Medians; time is wall time, CPU is user and system, memory is the peak of the process.\n\n\
         | work | runs | peer | peer: time | CPU | memory | bulla: time | CPU | memory | faster | less CPU | less memory | target | holds |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        machine()
    );
    for row in rows {
        let processor = row.theirs.processor.as_secs_f64() / row.ours.processor.as_secs_f64();
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1}× | {:.1}× | {:.1}× | {} | {} |",
            row.work,
            row.repetitions,
            row.peer,
            time(row.theirs.wall),
            time(row.theirs.processor),
            bytes(row.theirs.memory),
            time(row.ours.wall),
            time(row.ours.processor),
            bytes(row.ours.memory),
            row.faster(),
            processor,
            row.memory_ratio(),
            row.target_text(),
            if row.holds() { "yes" } else { "**no**" },
        )
        .expect("a string takes all");
    }
    writeln!(text, "\nStarting a program that does nothing (`true`) takes {} here.", time(floor.wall))
        .expect("a string takes all");
    text
}

/// The processors and how busy they are.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{processors} × {}, load {} at the end",
        model.map_or("an unknown processor", |(_, model)| model),
        load.split(' ').next().unwrap_or("unknown")
    )
}

fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
    let mebibytes = count as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_holds_when_time_and_memory_do() {
        let cost = |milliseconds, memory| Cost {
            wall: Duration::from_millis(milliseconds),
            processor: Duration::from_millis(milliseconds),
            memory,
        };
        let row = |ours, target| Row {
            work: String::new(),
            peer: "sops",
            repetitions: 1,
            theirs: cost(1000, 400),
            ours,
            target,
        };
        let target = Target { times_faster: 10.0, memory: Some(200), memory_part: Some(4.0) };
        for (ours, holds) in [(cost(100, 100), true), (cost(101, 100), false), (cost(100, 101), false)] {
            assert_eq!(row(ours, target).holds(), holds, "{ours:?}");
        }
        assert!(!row(cost(1, 300), Target { times_faster: 1.0, memory: Some(200), memory_part: None }).holds());
    }
}
