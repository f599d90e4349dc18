//! Options for the questions of a run.

use std::path::PathBuf;

use clap::Args;
use postern_bench::message::{self, QueryForm};
use postern_bench::questions::{QuestionBank, QuestionKind, generate, pcap, queryfile};

use super::words::share;

/// Sources that give complete questions. Options that mix questions from names cannot be combined
/// with them.
const GIVEN_QUESTIONS: [&str; 3] = ["query_file", "pcap", "ask"];
/// Sources whose questions always have a type.
const WHOLE_QUESTIONS: [&str; 2] = ["query_file", "pcap"];

/// Where questions come from.
#[derive(Debug, Args)]
pub struct QuestionArgs {
    /// Questions from a dnsperf query file; - reads standard input
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with_all = ["pcap", "names", "zone"])]
    query_file: Option<PathBuf>,
    /// Questions from a capture (pcap, pcapng)
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with_all = ["names", "zone"])]
    pcap: Option<PathBuf>,
    /// Destination port of queries in the capture
    #[arg(long, default_value_t = 53, requires = "pcap", conflicts_with_all = ["query_file", "names", "zone", "ask"], help_heading = "Questions")]
    pcap_port: u16,
    /// Questions from a list of names, one per line, each with an optional type
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with = "zone")]
    names: Option<PathBuf>,
    /// Questions from the names and types of a zone file
    #[arg(long, value_name = "FILE", help_heading = "Questions")]
    zone: Option<PathBuf>,
    /// Origin of relative names in the zone file
    #[arg(long, requires = "zone", conflicts_with_all = ["query_file", "pcap", "names", "ask"], help_heading = "Questions")]
    origin: Option<String>,
    /// A single question, such as www.contoso.example or www.contoso.example/AAAA (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Questions", conflicts_with_all = ["query_file", "pcap", "names", "zone"])]
    ask: Vec<String>,
    /// Types to query for names without known types
    #[arg(long, value_delimiter = ',', default_value = "A", help_heading = "Questions", conflicts_with_all = WHOLE_QUESTIONS)]
    types: Vec<String>,
    /// Popularity of names: the exponent of a Zipf distribution. 0 means that all are equally
    /// popular
    #[arg(long, default_value_t = 0.0, help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    zipf: f64,
    /// Share of known names among questions for existing names. The others are for fresh names below
    /// them, which no cache has
    #[arg(long, value_parser = share, default_value = "100%", help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    hit_ratio: f64,
    /// Share of questions for names that do not exist
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    nxdomain: f64,
    /// Share of questions for types that the name lacks
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    nodata: f64,
    /// Share of questions for fresh names that do not exist
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    random_subdomain: f64,
    /// Names of the public share, one per line
    #[arg(long, value_name = "FILE", requires = "public", help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    public_names: Option<PathBuf>,
    /// Share of questions for public names
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions", conflicts_with_all = GIVEN_QUESTIONS)]
    public: f64,
    /// Random seed of the questions and of their arrival times
    #[arg(long, default_value_t = 1, help_heading = "Questions")]
    pub seed: u64,
    /// Send queries without EDNS
    #[arg(long, help_heading = "Questions", conflicts_with = "pcap")]
    no_edns: bool,
    /// Request DNSSEC records (DO)
    #[arg(long, help_heading = "Questions", conflicts_with_all = ["no_edns", "pcap"])]
    dnssec: bool,
    /// Send queries with RD clear
    #[arg(long, help_heading = "Questions", conflicts_with = "pcap")]
    no_recursion: bool,
}

/// Builds every question before the run.
pub fn read_questions(args: &QuestionArgs) -> Result<QuestionBank, String> {
    let form = QueryForm { recursion: !args.no_recursion, edns: !args.no_edns, dnssec: args.dnssec };
    if let Some(path) = &args.query_file {
        return queryfile::read(path, form).map_err(|error| error.to_string());
    }
    if let Some(path) = &args.pcap {
        return pcap::read(path, args.pcap_port).map_err(|error| error.to_string());
    }
    let types: Vec<u16> =
        args.types.iter().map(|text| message::type_to_number(text).map_err(|error| error.to_string())).collect::<Result<_, _>>()?;
    if !args.ask.is_empty() {
        let mut questions = QuestionBank::in_turn("--ask");
        for ask in &args.ask {
            let (name, own_type) = ask.split_once('/').map_or((ask.as_str(), None), |(name, rtype)| (name, Some(rtype)));
            let name = message::name_to_wire(name).map_err(|error| error.to_string())?;
            let own_type = own_type.map(message::type_to_number).transpose().map_err(|error| error.to_string())?;
            for rtype in own_type.as_ref().map_or(types.as_slice(), std::slice::from_ref) {
                questions.push(&name, *rtype, form, QuestionKind::Given);
            }
        }
        return Ok(questions);
    }
    let (names, source) = match (&args.names, &args.zone) {
        (Some(path), _) => (generate::read_names(path), format!("names of {}", path.display())),
        (None, Some(path)) => (generate::read_zone(path, args.origin.as_deref()), format!("zone file {}", path.display())),
        (None, None) => return Err("what shall be asked? give --ask, --query-file, --pcap, --names or --zone".to_string()),
    };
    let names = names.map_err(|error| error.to_string())?;
    let public = args.public_names.as_ref().map(|path| generate::read_names(path)).transpose().map_err(|error| error.to_string())?;
    let mix = generate::QuestionMix {
        types,
        zipf: args.zipf,
        hit_ratio: args.hit_ratio,
        nxdomain: args.nxdomain,
        nodata: args.nodata,
        random_subdomain: args.random_subdomain,
        public: args.public,
    };
    generate::mix(&names, public.as_ref(), &mix, form, args.seed, &source).map_err(|error| error.to_string())
}
