//! HTTP addresses in the file.

use std::net::IpAddr;

use url::{Host, Url};

use super::reader::At;
use super::source::Report;

/// The address, if it is `http(s)://` without a user or password; reported otherwise. Plain
/// `http://` beyond this machine is a warning.
pub(super) fn http(report: &mut Report<'_>, what: &str, text: &At<&str>) -> Option<Url> {
    let hint = || Some("write an address such as `http://127.0.0.1:8081/health`".to_owned());
    let url = match Url::parse(text.value) {
        Ok(url) => url,
        Err(error) => {
            let message = format!("`{what}` can't be `{}`: {error}", text.value);
            report.error(text.span.clone(), message, hint());
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("`{what}` must begin with http:// or https://");
        report.error(text.span.clone(), message, hint());
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = format!("`{what}` must not hold a user name or password");
        report.error(text.span.clone(), message, None);
        return None;
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let message = format!("`{what}` goes beyond this machine without encryption");
        report.warning(
            text.span.clone(),
            message,
            Some("use https:// if it can".to_owned()),
        );
    }
    Some(url)
}

/// The host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => is_this_machine(name),
        None => false,
    }
}

/// The name or IP address of a host is this machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
