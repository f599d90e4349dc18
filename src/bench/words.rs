//! Values of the command line: servers, durations, rates, shares.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Rates to try in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RateSteps(pub Vec<f64>);

/// Parses a server: an address or a host name, with or without a port.
pub fn target(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((address, 53).into());
    }
    let with_port = if text.contains(':') { text.to_string() } else { format!("{text}:53") };
    let found = with_port.to_socket_addrs().map_err(|error| error.to_string())?.next();
    found.ok_or_else(|| "the name has no address".to_string())
}

/// Parses a duration with its unit: `500ms`, `2m`. Without a unit it is in seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| "write a time such as 10s, 500ms or 2m".to_string())?;
    let factor = match &text[digits..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("`{unit}` is not a unit of time; those are us, ms, s, m, h")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}

/// Parses queries per second: `20000`, `50k`, `1.5M`.
pub fn rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number * factor),
        _ => Err("write a rate such as 20000, 50k or 1.5M".to_string()),
    }
}

/// Parses a share: `10%` or `0.1`.
pub fn share(text: &str) -> Result<f64, String> {
    let (digits, factor) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    match digits.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&(number * factor)) => Ok(number * factor),
        _ => Err("write a share such as 10% or 0.1".to_string()),
    }
}

/// Parses rates: `10k,20k` or `10k..100k/10k`. At most a hundred are allowed, because each needs a
/// run.
pub fn steps(text: &str) -> Result<RateSteps, String> {
    let rates = match text.split_once("..") {
        Some((from, rest)) => {
            let (to, step) = rest.split_once('/').ok_or("write steps such as 10k..100k/10k")?;
            let (from, to, step) = (rate(from)?, rate(to)?, rate(step)?);
            (0..=100).map(|count| from + f64::from(count) * step).take_while(|rate| *rate <= to * 1.000_001).collect()
        }
        None => text.split(',').map(rate).collect::<Result<Vec<f64>, _>>()?,
    };
    if rates.is_empty() || rates.len() > 100 { Err("write 1 to 100 rates".to_string()) } else { Ok(RateSteps(rates)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_are_read() {
        assert_eq!(target("127.0.0.1").unwrap(), "127.0.0.1:53".parse().unwrap());
        assert_eq!(target("::1").unwrap(), "[::1]:53".parse().unwrap());
        assert_eq!(target("[::1]:5353").unwrap(), "[::1]:5353".parse().unwrap());
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert!(duration("10 parsecs").is_err());
        assert_eq!(rate("1.5k").unwrap(), 1500.0);
        assert!(rate("-1").is_err());
        assert!((share("12.5%").unwrap() - 0.125).abs() < 1e-12);
        assert!(share("120%").is_err());
        assert_eq!(steps("10k..30k/10k").unwrap().0, [10_000.0, 20_000.0, 30_000.0]);
        assert_eq!(steps("1k,5k").unwrap().0, [1000.0, 5000.0]);
        assert!(steps("10k..30k").is_err());
    }
}
