//! One guarded connection. The name is resolved once, each address is judged, and the connection goes
//! to a judged address: a name that leads elsewhere a moment later changes nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use crate::domain::host_port::HostPort;

use super::allow::AllowedTargets;
use super::fault::FetchFault;
use super::network::OuterNetwork;
use super::trust::Trust;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// A connection to this target, after its handshake.
pub(super) async fn connect(
    target: &HostPort,
    allowed: &AllowedTargets,
    trust: &Trust,
    network: &dyn OuterNetwork,
) -> Result<TlsStream<TcpStream>, FetchFault> {
    let stream = open(target, allowed, network).await?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&trust.0));
    let name = server_name(target).map_err(FetchFault::Tls)?;
    connector
        .connect(name, stream)
        .await
        .map_err(FetchFault::Tls)
}

/// A connection to this target, whose name is resolved once.
async fn open(
    target: &HostPort,
    allowed: &AllowedTargets,
    network: &dyn OuterNetwork,
) -> Result<TcpStream, FetchFault> {
    let found = addresses(target, network).await;
    let found = found.map_err(FetchFault::Resolve)?;
    reach(&judge(found, allowed.names(target), network)).await
}

/// The addresses that may be connected.
fn judge(
    mut found: Vec<SocketAddr>,
    is_allowed: bool,
    network: &dyn OuterNetwork,
) -> Vec<SocketAddr> {
    found.retain(|address| is_allowed || network.is_public(address.ip()));
    found
}

/// The addresses of the target.
async fn addresses(target: &HostPort, network: &dyn OuterNetwork) -> io::Result<Vec<SocketAddr>> {
    let port = target.port();
    let found = match target.host() {
        Host::Ipv4(v4) => vec![(*v4, port).into()],
        Host::Ipv6(v6) => vec![(*v6, port).into()],
        Host::Domain(name) => network.resolve(name, port).await?,
    };
    if found.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(found)
}

/// A connection to the first address that answers.
async fn reach(judged: &[SocketAddr]) -> Result<TcpStream, FetchFault> {
    let mut fault = FetchFault::Address;
    for address in judged.iter().take(MAX_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = FetchFault::Connect(error),
        }
    }
    Err(fault)
}

/// The name that the certificate must have.
fn server_name(target: &HostPort) -> io::Result<ServerName<'static>> {
    let ip = |ip: IpAddr| Ok(ServerName::from(ip));
    match target.host() {
        Host::Ipv4(v4) => ip((*v4).into()),
        Host::Ipv6(v6) => ip((*v6).into()),
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::net::TcpListener;

    use super::*;
    use crate::outbound::network::SystemNetwork;

    /// A network in which every name leads to each of these turns, one after another.
    #[derive(Debug)]
    struct Turns(Mutex<Vec<Vec<SocketAddr>>>);

    impl Turns {
        fn of(turns: &[&[SocketAddr]]) -> Self {
            Self(Mutex::new(turns.iter().map(|turn| turn.to_vec()).collect()))
        }

        fn left(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    #[async_trait]
    impl OuterNetwork for Turns {
        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.0.lock().unwrap().remove(0))
        }

        fn is_public(&self, address: IpAddr) -> bool {
            SystemNetwork.is_public(address)
        }
    }

    #[test]
    fn of_several_addresses_only_public_ones_stay() {
        let addresses = [
            "10.0.0.1:443",
            "1.1.1.1:443",
            "[::1]:443",
            "[2606:4700::1]:443",
        ];
        let found: Vec<SocketAddr> = addresses.map(|text| text.parse().unwrap()).into();
        let judged = |is_allowed| judge(found.clone(), is_allowed, &SystemNetwork);
        assert_eq!(judged(false), [found[1], found[3]]);
        assert_eq!(judged(true), found);
    }

    #[tokio::test]
    async fn a_name_is_resolved_once_and_what_was_judged_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let target = HostPort::parse("rebinding.example:443").unwrap();
        // It leads to the listener at first, and nowhere whenever it is asked again.
        let turns = || Turns::of(&[&[own], &[]]);
        let network = turns();
        let refused = open(&target, &AllowedTargets::default(), &network).await;
        assert!(matches!(refused, Err(FetchFault::Address)), "{refused:?}");
        let network = turns();
        let allowed = AllowedTargets::new(vec![target.clone()]);
        assert!(open(&target, &allowed, &network).await.is_ok());
        assert_eq!(network.left(), 1);
        // The refused turn never got here: one connection waits, and no second one.
        listener.accept().await.unwrap();
        let more = listener.accept();
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), more);
        assert!(more.await.is_err());
    }
}
