//! The network as a connection sees it: where names lead, and which addresses everybody reaches. Tests
//! have one of their own, since nothing public answers on loopback.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;

use super::address;

/// Where names lead, and which addresses are public.
#[async_trait]
pub trait OuterNetwork: fmt::Debug + Send + Sync {
    /// The addresses that this name has now, each with the port. May be asked again at any time, and
    /// may then say something else.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Whether a connection to this address leads to the public Internet.
    fn is_public(&self, address: IpAddr) -> bool;
}

/// The network of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemNetwork;

#[async_trait]
impl OuterNetwork for SystemNetwork {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }

    fn is_public(&self, address: IpAddr) -> bool {
        address::is_public(address)
    }
}
