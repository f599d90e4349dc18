//! The report as one HTML file without scripts or external resources.

use std::fmt::Write as _;

use super::plot::{AxisScale, LinePlot, PlotLine};
use super::{BenchReport, LatencyReport, RunReport};
use crate::load::{LoadModel, LoadTransport};
use crate::objective::show_nanoseconds;

const STYLE: &str = include_str!("style.css");

/// Returns the report as a self-contained page.
pub fn to_html(report: &BenchReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut out, report);
    out
}

fn write_page(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let environment = &report.environment;
    let title = report.runs.first().map_or("postern bench".to_string(), |run| format!("postern bench: {}", run.plan.target));
    write!(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>", escape(&title))?;
    write!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head><body><main>")?;
    write!(out, "<h1>{}</h1><p class=\"command\"><code>{}</code></p>", escape(&title), escape(&shell(&environment.command)))?;
    for failure in &report.failures {
        write!(out, "<p class=\"bad\">Failed: {}</p>", escape(failure))?;
    }
    write_summary(out, report)?;
    write_search(out, report)?;
    write_comparison(out, report)?;
    if report.runs.len() > 1 {
        let lines = report.runs.iter().enumerate().map(|(index, run)| quantile_line(&run.label, index, run)).collect();
        out.push_str(&quantile_plot("Latency by quantile, all runs", lines).to_svg());
    }
    for run in &report.runs {
        write_run(out, run)?;
    }
    write_environment(out, report)?;
    out.push_str("</main></body></html>\n");
    Ok(())
}

fn write_summary(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let kinds: Vec<String> = report.questions.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    write!(out, "<p>Questions: {} ({}).</p>", escape(&report.questions.source), escape(&kinds.join(", ")))?;
    for note in &report.questions.notes {
        write!(out, "<p>{}</p>", escape(note))?;
    }
    out.push_str("<table><thead><tr><th>run<th>load<th>answers/s<th>loss<th>p50<th>p99<th>p99.9<th>p99.99<th>max<th>server CPU a query</thead><tbody>");
    for run in &report.runs {
        let cpu = run.server.as_ref().map_or("–".to_string(), |server| format!("{:.3} µs", server.cpu_per_query));
        write!(
            out,
            "<tr><th>{}<td>{}<td>{:.0}<td>{:.4} %<td>{}<td>{}<td>{}<td>{}<td>{}<td>{cpu}",
            escape(&run.label),
            escape(&load(run)),
            run.rate,
            run.loss * 100.0,
            micros(run.latency.p50),
            micros(run.latency.p99),
            micros(run.latency.p99_9),
            micros(run.latency.p99_99),
            micros(run.latency.max)
        )?;
    }
    out.push_str("</tbody></table>");
    for run in &report.runs {
        if let Some(limit) = &run.rate_limit {
            write!(out, "<p class=\"bad\">{}: {}.</p>", escape(&run.label), escape(limit))?;
        }
    }
    write_limits(out, report)
}

/// Writes the warnings. A search has many runs, so more than two lines are folded under a line with
/// their number.
fn write_limits(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    const WHAT: &str = "the generator was a bottleneck, this is not the server's limit";
    let limits: Vec<(String, String)> =
        report.runs.iter().flat_map(|run| run.generator_limits.iter().map(move |limit| (escape(&run.label), escape(limit)))).collect();
    if limits.len() <= 2 {
        return limits.iter().try_for_each(|(label, limit)| write!(out, "<p class=\"bad\">{label}: {WHAT}: {limit}.</p>"));
    }
    let limited = report.runs.iter().filter(|run| !run.generator_limits.is_empty()).count();
    write!(out, "<details><summary class=\"bad\">In {limited} of {} runs {WHAT}.</summary><ul>", report.runs.len())?;
    limits.iter().try_for_each(|(label, limit)| write!(out, "<li>{label}: {limit}"))?;
    out.push_str("</ul></details>");
    Ok(())
}

fn write_search(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let Some(search) = &report.search else { return Ok(()) };
    out.push_str("<h2>Rates</h2>");
    if let Some(verdict) = search.verdict() {
        write!(out, "<p><b>{}</b></p>", escape(&verdict))?;
    }
    if search.generator_was_the_limit {
        out.push_str("<p class=\"bad\">The generator was the limit: the server may do more.</p>");
    }
    // For a rate that was tried again, only the last run is plotted. Otherwise the line would go up
    // and down at one point.
    let mut steps: Vec<_> = search.steps.iter().rev().collect();
    steps.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    steps.dedup_by(|one, other| one.rate == other.rate);
    let line = |name, colour, of: fn(&crate::search::SearchStep) -> f64| PlotLine {
        name,
        colour,
        points: steps.iter().map(|step| (step.rate, of(step))).collect(),
    };
    let plot = LinePlot {
        title: "Latency by rate",
        x: (AxisScale::Linear, "queries a second"),
        y: (AxisScale::Logarithmic, "latency"),
        x_label: count,
        y_label: micros,
        lines: vec![line("p50", 0, |step| step.p50), line("p99", 1, |step| step.p99), line("p99.9", 2, |step| step.p99_9)],
        warm_up: None,
    };
    out.push_str(&plot.to_svg());
    out.push_str("<table><thead><tr><th>rate<th>answers/s<th>p50<th>p99<th>p99.9<th>loss<th>objective</thead><tbody>");
    for step in &search.steps {
        let met = if step.met { "met".to_string() } else { format!("missed {}", step.missed.join(", ")) };
        let behind = if step.generator_limited { " (the generator fell behind)" } else { "" };
        write!(
            out,
            "<tr><td>{:.0}<td>{:.0}<td>{}<td>{}<td>{}<td>{:.4} %<td>{}{behind}",
            step.rate,
            step.answered,
            micros(step.p50),
            micros(step.p99),
            micros(step.p99_9),
            step.loss * 100.0,
            escape(&met)
        )?;
    }
    out.push_str("</tbody></table>");
    Ok(())
}

fn write_comparison(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let Some(comparison) = &report.comparison else { return Ok(()) };
    write!(out, "<h2>{} against {}</h2><p>Medians of {} rounds.</p>", comparison.first, comparison.second, comparison.rounds)?;
    out.push_str("<table><thead><tr><th>quantity<th>first<th>second<th>ratio<th>lowest of a round<th>highest of a round</thead><tbody>");
    for ratio in &comparison.ratios {
        write!(
            out,
            "<tr><th>{} {}<td>{:.2}<td>{:.2}<td><b>{:.3}</b><td>{:.3}<td>{:.3}",
            ratio.quantity, ratio.unit, ratio.first, ratio.second, ratio.ratio, ratio.lowest, ratio.highest
        )?;
    }
    out.push_str("</tbody></table>");
    Ok(())
}

fn write_run(out: &mut String, run: &RunReport) -> std::fmt::Result {
    write!(
        out,
        "<section><h2>{}</h2><p>{} to {}, {} source ports, {:.1} s measured.</p>",
        escape(&run.label),
        escape(&load(run)),
        run.plan.target,
        run.plan.ports,
        run.elapsed
    )?;
    if let LoadModel::Closed { .. } = run.plan.load {
        out.push_str("<p>A closed loop: a server that stalls is asked less, so latency looks better than clients would see it.</p>");
    }
    out.push_str(
        &quantile_plot(
            "Latency by quantile",
            vec![quantile_line(if matches!(run.plan.load, LoadModel::Open { .. }) { "from the schedule" } else { "from sending" }, 0, run)],
        )
        .to_svg(),
    );
    write_series(out, run);
    write_latencies(out, run)?;
    write_counts(out, run)?;
    out.push_str("</section>");
    Ok(())
}

fn write_latencies(out: &mut String, run: &RunReport) -> std::fmt::Result {
    out.push_str("<table><thead><tr><th>part<th>share<th>p50<th>p90<th>p99<th>p99.9<th>p99.99<th>max</thead><tbody>");
    let mut row = |name: &str, share: f64, latency: &LatencyReport| {
        let cells = [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.p99_99, latency.max].map(micros);
        write!(out, "<tr><th>{}<td>{:.3} %<td>{}", escape(name), share * 100.0, cells.join("<td>"))
    };
    if let LoadModel::Open { .. } = run.plan.load {
        row("all, from the schedule", 1.0, &run.latency)?;
    }
    row("all, from sending", 1.0, &run.service)?;
    for part in run.by_rcode.iter().chain(&run.by_kind) {
        row(&part.name, part.share, &part.latency)?;
    }
    row("late answers", run.late.count as f64 / run.counts.sent.max(1) as f64, &run.late)?;
    out.push_str("</tbody></table>");
    Ok(())
}

fn write_counts(out: &mut String, run: &RunReport) -> std::fmt::Result {
    let c = &run.counts;
    let counts = [
        ("sent", c.sent),
        ("answered", c.answered),
        ("timed out", c.timed_out),
        ("answered late", c.late),
        ("cut off", c.cut_off),
        ("never sent", c.unsent),
        ("not as promised", c.unpromised),
        ("another question", c.mismatched),
        ("truncated", c.truncated),
        ("duplicates", c.duplicates),
        ("unknown", c.unknown),
        ("malformed", c.malformed),
        ("socket errors", c.socket_errors),
        ("reconnects", c.reconnects),
    ];
    out.push_str("<dl>");
    for (name, count) in counts {
        write!(out, "<dt>{name}<dd>{count}")?;
    }
    write!(out, "<dt>generator's busiest thread<dd>{:.0} %", run.generator.busiest * 100.0)?;
    write!(out, "<dt>p99 of its lag<dd>{}", micros(run.lag.p99))?;
    if let Some(server) = &run.server {
        write!(out, "<dt>server CPU<dd>{:.2} s user, {:.2} s system", server.user, server.system)?;
        write!(out, "<dt>server memory<dd>{:.1} MiB, peak {:.1} MiB", mebibytes(server.resident), mebibytes(server.peak))?;
    }
    out.push_str("</dl>");
    Ok(())
}

fn write_series(out: &mut String, run: &RunReport) {
    let line = |name, colour, of: &dyn Fn(&super::SecondReport) -> f64| PlotLine {
        name,
        colour,
        points: whole_seconds(run).map(|second| (f64::from(second.second), of(second))).collect(),
    };
    let seconds = (AxisScale::Counted, "second");
    let warm_up = Some(run.plan.warmup.as_secs_f64()).filter(|warm_up| *warm_up > 0.0);
    let mut rates = vec![line("sent", 0, &|second| second.sent as f64), line("answered", 1, &|second| second.answered as f64)];
    let names: Vec<&str> = run.by_rcode.iter().map(|part| part.name.as_str()).collect();
    for (index, name) in names.iter().copied().enumerate().filter(|_| names.len() > 1) {
        let of =
            |second: &super::SecondReport| second.rcodes.iter().find(|(rcode, _)| rcode == name).map_or(0.0, |(_, count)| *count as f64);
        rates.push(line(name, 2 + index, &of));
    }
    if run.counts.timed_out > 0 {
        rates.push(line("timed out", 7, &|second| second.timed_out as f64));
    }
    let plots = [
        LinePlot {
            title: "Each second",
            x: seconds,
            y: (AxisScale::Linear, "a second"),
            x_label: count,
            y_label: count,
            lines: rates,
            warm_up,
        },
        LinePlot {
            title: "Latency over time",
            x: seconds,
            y: (AxisScale::Logarithmic, "latency"),
            x_label: count,
            y_label: micros,
            lines: vec![line("p50", 0, &|second| second.p50), line("p99", 1, &|second| second.p99), line("max", 2, &|second| second.max)],
            warm_up,
        },
        LinePlot {
            title: "Server CPU, cores",
            x: seconds,
            y: (AxisScale::Linear, "cores"),
            x_label: count,
            y_label: |value| format!("{value:.2}"),
            lines: server_line(run, |second| second.server_cpu),
            warm_up,
        },
        LinePlot {
            title: "Server memory, MiB",
            x: seconds,
            y: (AxisScale::Linear, "MiB"),
            x_label: count,
            y_label: |value| format!("{value:.1}"),
            lines: server_line(run, |second| second.server_memory.map(mebibytes)),
            warm_up,
        },
    ];
    for plot in plots {
        out.push_str(&plot.to_svg());
    }
}

/// Returns the seconds that lie entirely within the time of sending. Stragglers after it would look
/// like a breakdown.
fn whole_seconds(run: &RunReport) -> impl Iterator<Item = &super::SecondReport> {
    let end = run.plan.warmup.as_secs_f64() + run.elapsed;
    run.series.iter().filter(move |second| f64::from(second.second) + 1.0 <= end + 0.01)
}

fn server_line(run: &RunReport, of: impl Fn(&super::SecondReport) -> Option<f64>) -> Vec<PlotLine<'static>> {
    let points = whole_seconds(run).filter_map(|second| Some((f64::from(second.second), of(second)?))).collect();
    vec![PlotLine { name: "server", colour: 0, points }]
}

fn quantile_line<'a>(name: &'a str, colour: usize, run: &RunReport) -> PlotLine<'a> {
    PlotLine {
        name,
        colour,
        points: run.quantiles.iter().map(|(quantile, latency)| (1.0 / (1.0 - quantile).max(1e-9), *latency)).collect(),
    }
}

fn quantile_plot<'a>(title: &'a str, lines: Vec<PlotLine<'a>>) -> LinePlot<'a> {
    LinePlot {
        title,
        x: (AxisScale::Logarithmic, "part of the answers below"),
        y: (AxisScale::Logarithmic, "latency"),
        // The axis counts answers: one in ten is slower than p90, one in a hundred than p99.
        x_label: |one_in| {
            let text = format!("{:.7}", 100.0 * (1.0 - 1.0 / one_in));
            format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
        },
        y_label: micros,
        lines,
        warm_up: None,
    }
}

fn write_environment(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let e = &report.environment;
    out.push_str("<h2>Environment</h2><dl>");
    let mut rows = vec![
        ("program".to_string(), format!("postern bench {}, report version {}", e.version, report.version)),
        ("started".to_string(), moment(e.started)),
        (
            "processor".to_string(),
            format!(
                "{}, {} cores, allowed {:?}{}",
                e.cpu,
                e.cores,
                e.allowed_cores,
                e.governor.as_deref().map(|governor| format!(", governor {governor}")).unwrap_or_default()
            ),
        ),
        ("memory".to_string(), format!("{:.0} MiB", mebibytes(e.memory))),
        ("kernel".to_string(), e.kernel.clone()),
        ("system".to_string(), e.system.clone()),
        ("load average".to_string(), e.load_average.clone()),
    ];
    rows.extend(e.sysctl.iter().cloned());
    rows.extend(e.servers.iter().map(|(pid, command)| (format!("server {pid}"), command.clone())));
    if let Some(run) = report.runs.first() {
        let transport = if run.plan.transport == LoadTransport::Udp { "UDP" } else { "TCP" };
        rows.push((
            "plan".to_string(),
            format!(
                "{transport}, {} threads on cores {:?}, batches of {}, seed {}",
                run.plan.threads, run.plan.cpus, run.plan.batch, run.plan.seed
            ),
        ));
    }
    for (name, value) in rows {
        write!(out, "<dt>{}<dd>{}", escape(&name), escape(&value))?;
    }
    out.push_str("</dl>");
    Ok(())
}

/// Formats seconds since 1970 as in RFC 3339.
fn moment(seconds: u64) -> String {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let moment = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s after 1970-01-01 UTC"))
}

fn load(run: &RunReport) -> String {
    let transport = if run.plan.transport == LoadTransport::Udp { "UDP" } else { "TCP" };
    match run.plan.load {
        LoadModel::Open { rate, .. } => format!("{transport}, open loop, {rate:.0} queries a second"),
        LoadModel::Closed { window } => format!("{transport}, closed loop, {window} under way"),
    }
}

fn micros(value: f64) -> String {
    if value == 0.0 { "–".to_string() } else { show_nanoseconds(value * 1e3) }
}

fn count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value => format!("{value:.0}"),
    }
}

fn mebibytes(octets: u64) -> f64 {
    octets as f64 / 1_048_576.0
}

/// Formats the command so that it can be repeated in a shell.
fn shell(words: &[String]) -> String {
    let plain = |word: &str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter));
    let words: Vec<String> =
        words.iter().map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }).collect();
    words.join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
