//! The report for a terminal.

use std::fmt::Write as _;
use std::ops::Range;

use super::{BenchReport, LatencyReport, RunReport};
use crate::load::{LoadModel, LoadPlan, LoadTransport, RunSecond};
use crate::objective::show_nanoseconds;
use crate::search::grouped;

/// Returns the report as plain text.
pub fn to_text(report: &BenchReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut out, report);
    out
}

/// Formats the progress of a run: a bar, the time, and the last second.
pub fn progress_line(plan: &LoadPlan, moment: &RunSecond) -> String {
    const WIDTH: usize = 20;
    let total = (plan.warmup + plan.duration).as_secs_f64();
    let done = f64::from(moment.second.index) + 1.0;
    let filled = ((done / total).min(1.0) * WIDTH as f64) as usize;
    let second = &moment.second;
    let phase = if done <= plan.warmup.as_secs_f64() { "warm-up" } else { "" };
    let p99 = if second.latency.is_empty() { "-".to_string() } else { show_nanoseconds(second.latency.value_at_quantile(0.99) as f64) };
    format!(
        "[{}{}] {:>3.0}/{:.0} s {:>9} answers/s, p99 {p99}, {} timed out {phase}",
        "█".repeat(filled),
        "·".repeat(WIDTH - filled),
        done.min(total),
        total,
        second.answered,
        second.timed_out,
    )
}

fn write_report(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let kinds: Vec<String> = report.questions.kinds.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count as u64))).collect();
    let (count, source) = (grouped(report.questions.count as u64), &report.questions.source);
    writeln!(out, "questions  {count} different ones from {source} ({})", kinds.join(", "))?;
    for note in &report.questions.notes {
        writeln!(out, "           {note}")?;
    }
    let shown = shown_whole(report);
    for run in &report.runs[shown.clone()] {
        writeln!(out)?;
        write_run(out, run)?;
    }
    if shown.len() < report.runs.len() {
        writeln!(out, "\n(each of the {} runs is in the JSON and in the page)", report.runs.len())?;
    }
    if let Some(search) = &report.search {
        writeln!(out, "\n       rate  answers/s        p50        p99      p99.9     loss")?;
        for step in &search.steps {
            let mark = if step.met { "met".to_string() } else { format!("missed: {}", step.missed.join(", ")) };
            let limited = if step.generator_limited { "  (the generator fell behind)" } else { "" };
            writeln!(
                out,
                "{:>11.0} {:>10.0} {:>10} {:>10} {:>10} {:>7.3}%  {mark}{limited}",
                step.rate,
                step.answered,
                micros(step.p50),
                micros(step.p99),
                micros(step.p99_9),
                step.loss * 100.0
            )?;
        }
        if let Some(verdict) = search.verdict() {
            writeln!(out, "{verdict}")?;
        }
        if search.generator_was_the_limit {
            writeln!(out, "the generator was the limit: the server may do more")?;
            writeln!(out, "help: leave it cores of its own (--cpus, and the server on others), or more --threads")?;
        }
    }
    if let Some(comparison) = &report.comparison {
        writeln!(
            out,
            "\n{} against {}, {} rounds, medians (lowest and highest ratio of a round)",
            comparison.first, comparison.second, comparison.rounds
        )?;
        for ratio in &comparison.ratios {
            writeln!(
                out,
                "{:<20} {:>12.2} {:>12.2} {:<4} ratio {:.3} ({:.3} to {:.3})",
                ratio.quantity, ratio.first, ratio.second, ratio.unit, ratio.ratio, ratio.lowest, ratio.highest
            )?;
        }
    }
    for failure in &report.failures {
        writeln!(out, "\nFAILED: {failure}")?;
    }
    Ok(())
}

/// Returns the runs to show in full. For a search this is the last run at the rate found. Its many
/// other runs have one line each, which shows why the search continued. Otherwise all runs are
/// returned.
fn shown_whole(report: &BenchReport) -> Range<usize> {
    let all = 0..report.runs.len();
    let Some(search) = report.search.as_ref().filter(|search| !search.objective.is_empty()) else { return all };
    let is_found = |run: &RunReport| matches!(run.plan.load, LoadModel::Open { rate, .. } if Some(rate) == search.highest);
    match report.runs.iter().rposition(is_found) {
        Some(found) => found..found + 1,
        None => all.end.saturating_sub(1)..all.end,
    }
}

fn write_run(out: &mut String, run: &RunReport) -> std::fmt::Result {
    let plan = &run.plan;
    let transport = match plan.transport {
        LoadTransport::Udp => "UDP",
        LoadTransport::Tcp => "TCP",
    };
    let load = match plan.load {
        LoadModel::Open { rate, .. } => format!("open loop, {} queries a second", grouped(rate.round() as u64)),
        LoadModel::Closed { window } => format!("closed loop, {window} under way"),
    };
    writeln!(out, "{}: {} over {transport}, {load}, {} source ports, {:.1} s", run.label, plan.target, plan.ports, run.elapsed)?;
    write_counts(out, run)?;
    write_latencies(out, run)?;
    write_usage(out, run)
}

/// Writes the counts of queries, losses and unexpected answers.
fn write_counts(out: &mut String, run: &RunReport) -> std::fmt::Result {
    let counts = &run.counts;
    writeln!(
        out,
        "queries    {} sent, {} answered, {} a second",
        grouped(counts.sent),
        grouped(counts.answered),
        grouped(run.rate.round() as u64)
    )?;
    let losses = [
        (counts.timed_out, "timed out"),
        (counts.late, "of them answered late"),
        (counts.cut_off, "cut off with their connection"),
        (counts.unsent, "due and never sent"),
    ];
    let losses: Vec<String> =
        losses.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
    writeln!(out, "loss       {:.4} %{}{}", run.loss * 100.0, if losses.is_empty() { "" } else { ": " }, losses.join(", "))?;
    let odd = [
        (counts.unpromised, "not as their kind promises"),
        (counts.mismatched, "with another question"),
        (counts.truncated, "truncated"),
        (counts.duplicates, "duplicates"),
        (counts.unknown, "unknown"),
        (counts.malformed, "malformed"),
        (counts.socket_errors, "socket errors"),
        (counts.reconnects, "reconnects"),
    ];
    for (count, what) in odd.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "           {} {what}", grouped(*count))?;
    }
    if let Some(limit) = &run.rate_limit {
        writeln!(out, "WARNING    {limit}")?;
    }
    Ok(())
}

fn write_latencies(out: &mut String, run: &RunReport) -> std::fmt::Result {
    writeln!(out, "             share        p50        p90        p99      p99.9     p99.99        max")?;
    let mut line = |name: &str, share: f64, latency: &LatencyReport| {
        let cells = [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.p99_99, latency.max].map(micros);
        let cells: String = cells.iter().fold(String::new(), |row, cell| row + &format!(" {cell:>10}"));
        writeln!(out, "{name:<10} {:>6.2}%{cells}", share * 100.0)
    };
    line("latency", 1.0, &run.latency)?;
    if let LoadModel::Open { .. } = run.plan.load {
        line("from send", 1.0, &run.service)?;
    }
    for part in &run.by_rcode {
        line(&part.name, part.share, &part.latency)?;
    }
    if run.by_kind.len() > 1 {
        for part in &run.by_kind {
            line(&part.name, part.share, &part.latency)?;
        }
    }
    if run.late.count > 0 {
        line("late", run.late.count as f64 / run.counts.sent.max(1) as f64, &run.late)?;
    }
    let note = match run.plan.load {
        LoadModel::Closed { .. } => "a closed loop: a server that stalls is asked less, so latency looks better than clients would see it",
        LoadModel::Open { .. } => "an open loop: latency counts from when a query was due; `from send` from when it left",
    };
    writeln!(out, "           ({note})")
}

/// Writes the resources that the server and the generator used.
fn write_usage(out: &mut String, run: &RunReport) -> std::fmt::Result {
    if let Some(server) = &run.server {
        writeln!(
            out,
            "server     {:.3} µs CPU a query ({:.2} s user, {:.2} s system), {:.1} MiB resident, {:.1} MiB peak, {} threads",
            server.cpu_per_query,
            server.user,
            server.system,
            server.resident as f64 / 1_048_576.0,
            server.peak as f64 / 1_048_576.0,
            server.threads
        )?;
    }
    writeln!(
        out,
        "generator  busiest thread {:.0} % busy, {:.1} % waiting for a core, p99 of lag {}",
        run.generator.busiest * 100.0,
        run.generator.waiting_for_cpu * 100.0,
        micros(run.lag.p99)
    )?;
    if !run.generator_limits.is_empty() {
        writeln!(out, "WARNING    the generator was a bottleneck, this is not the server's limit:")?;
    }
    for limit in &run.generator_limits {
        writeln!(out, "           {limit}")?;
    }
    Ok(())
}

fn micros(value: f64) -> String {
    if value == 0.0 { "-".to_string() } else { show_nanoseconds(value * 1e3) }
}
