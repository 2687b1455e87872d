//! Why nothing was fetched. A fault names the step, never a part of what was answered.

use std::io;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// It is no https URL with a host.
    #[error("the URL is not https, or has no host")]
    Url,
    /// The host has no address.
    #[error("the name was not resolved")]
    Resolve(#[source] io::Error),
    /// The host has only addresses of private or special networks.
    #[error(
        "the name leads to an address that is not of the public Internet, and outbound.allow does not list the target"
    )]
    Address,
    /// No address answers.
    #[error("no connection was made")]
    Connect(#[source] io::Error),
    /// The other side has no good certificate, or no TLS.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The other side breaks the rules of HTTP, or the connection broke.
    #[error("the answer is not HTTP, or broke off")]
    Http(#[source] hyper::Error),
    /// The answer has another status than 200. Redirects are not followed.
    #[error("the answer has the status {0}, where 200 is expected")]
    Status(u16),
    /// The answer is too long.
    #[error("the answer has more than 262144 bytes")]
    TooLarge,
    /// It took too long.
    #[error("it took more than 5 seconds")]
    Timeout,
}
