//! What went wrong with a GET, as a class and a sentence (G7). The URL is never in it: it may hold
//! a passkey.

use std::io;

use crate::base::limits::TRACKER_REDIRECT_MAX;
use crate::base::status::TrackerErrorClass;
use crate::engine::to_ring::QueryError;

/// A sentence with its class.
pub(crate) fn fault(class: TrackerErrorClass, message: impl Into<String>) -> QueryError {
    QueryError { class, message: message.into() }
}

/// Sorts the client's errors.
pub(crate) fn classify(error: &ureq::Error) -> QueryError {
    use TrackerErrorClass as Class;
    match error {
        ureq::Error::Io(error) => classify_io(error),
        ureq::Error::Timeout(_) => fault(Class::Timeout, "no answer in time"),
        ureq::Error::HostNotFound => fault(Class::Dns, "the host name did not resolve"),
        ureq::Error::Tls(what) => fault(Class::Tls, *what),
        ureq::Error::Rustls(error) => fault(Class::Tls, error.to_string()),
        ureq::Error::Pem(error) => fault(Class::Tls, error.to_string()),
        ureq::Error::TlsRequired => fault(Class::Tls, "expected TLS for an https URL"),
        ureq::Error::ConnectionFailed => fault(Class::Connect, "no connection"),
        ureq::Error::StatusCode(status) => fault(Class::Http, format!("HTTP status {status}")),
        ureq::Error::TooManyRedirects => {
            let message = format!("expected at most {TRACKER_REDIRECT_MAX} redirects, got more");
            fault(Class::Http, message)
        }
        ureq::Error::RequireHttpsOnly(_) => {
            fault(Class::Tls, "expected redirects to https only, got one to http")
        }
        ureq::Error::RedirectFailed => fault(Class::Http, "a redirect that cannot be followed"),
        ureq::Error::BodyExceedsLimit(limit) => {
            // The client refuses the byte that fills the limit.
            let message = format!("expected an answer of at most {} bytes", limit - 1);
            fault(Class::Parse, message)
        }
        ureq::Error::LargeResponseHeader(got, max) => {
            let message = format!("expected headers of at most {max} bytes, got {got}");
            fault(Class::Parse, message)
        }
        ureq::Error::Decompress(..) => fault(Class::Parse, "the answer does not inflate"),
        ureq::Error::Protocol(error) => fault(Class::Parse, format!("not HTTP: {error}")),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            fault(Class::Parse, "the URL, or one it redirects to, is malformed")
        }
        ureq::Error::Other(error) => fault(Class::Dns, error.to_string()),
        _ => fault(Class::Connect, "the request failed"),
    }
}

/// TLS errors and the client's own arrive wrapped in I/O errors, too.
pub(crate) fn classify_io(error: &io::Error) -> QueryError {
    use TrackerErrorClass as Class;
    if let Some(inner) = error.get_ref() {
        if let Some(inner) = inner.downcast_ref::<rustls::Error>() {
            return fault(Class::Tls, inner.to_string());
        }
        if let Some(inner) = inner.downcast_ref::<ureq::Error>() {
            return classify(inner);
        }
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            fault(Class::Timeout, "no answer in time")
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            fault(Class::Parse, error.to_string())
        }
        _ => fault(Class::Connect, error.to_string()),
    }
}
