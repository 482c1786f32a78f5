//! The real wire: one fresh connection per request, to an address that was checked and is the one dialled.
//!
//! HTTP/1.1 only, TLS by rustls with the web's roots or the operator's. No pool, no redirect, no retry, no proxy
//! variable, no early data: whatever a client library would do behind our back could send a request twice.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::address::AddressError;
use crate::authority::{self, Authority};
use crate::crash_point::crash_point;
use crate::decode::{self, Pace};
use crate::identity::Identity;
use crate::resolve::{Resolve, SystemNames};
use crate::wire::{Caps, Phase, SentMark, Target, Wire, WireError, WireRequest, WireResponse};
use crate::{EgressConfig, Own};

/// More answers than this to one name are a sign of trouble; all are judged, and no more are dialled.
const MAX_ANSWERS: usize = 16;

/// The wire to the real world.
pub struct Live {
    tls: Arc<ClientConfig>,
    names: Arc<dyn Resolve>,
    own: Own,
    dns_timeout: Duration,
    connect_timeout: Duration,
    pacing: Pacing,
}

/// Times of an answer.
#[derive(Debug, Clone, Copy)]
struct Pacing {
    first_byte: Duration,
    body: Pace,
}

impl Live {
    /// Trusts the certificate authorities browsers trust.
    pub fn new(config: &EgressConfig) -> Result<Self, rustls::Error> {
        Self::trusting(config, RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()))
    }

    /// Trusts `roots` and nothing else.
    pub fn trusting(config: &EgressConfig, roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: Arc::new(authority::client(roots)?),
            names: Arc::new(SystemNames),
            own: config.own.clone(),
            dns_timeout: Duration::from_millis(config.dns_timeout_ms),
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            pacing: Pacing {
                first_byte: Duration::from_millis(config.first_byte_timeout_ms),
                body: Pace { grace: Duration::from_millis(config.rate_grace_ms), min_rate: config.min_rate },
            },
        })
    }

    /// Asks `names` in place of the operating system. What they say is checked all the same.
    pub fn resolving(self, names: Arc<dyn Resolve>) -> Self {
        Self { names, ..self }
    }

    /// Every address of the host, all of them permitted.
    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, WireError> {
        let host = target.host.to_string();
        let answers = match &target.host {
            Host::Ipv4(ip) => vec![IpAddr::V4(*ip)],
            Host::Ipv6(ip) => vec![IpAddr::V6(*ip)],
            Host::Domain(name) => match timeout(self.dns_timeout, self.names.resolve(name)).await {
                Ok(Ok(found)) => found,
                Ok(Err(err)) => return Err(WireError::Dns { host, detail: err.to_string() }),
                Err(_) => return Err(slow(Phase::Dns, self.dns_timeout)),
            },
        };
        let mut answers: Vec<_> = answers.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect();
        if answers.is_empty() {
            return Err(WireError::Dns { host, detail: "it has no address".to_owned() });
        }
        target.address.check_all(&answers).map_err(|source| WireError::Address { host: host.clone(), source })?;
        answers.truncate(MAX_ANSWERS);
        match answers.iter().find(|addr| self.own.listens_at(**addr)) {
            Some(addr) => Err(WireError::Address { host, source: AddressError::Own { addr: *addr } }),
            None => Ok(answers),
        }
    }

    /// A connection to one of the checked addresses. Trying the next address is no repeat: no byte was sent.
    async fn dial(&self, target: &Target) -> Result<TcpStream, WireError> {
        let host = target.host.to_string();
        let mut last = None;
        for addr in self.resolve(target).await? {
            match timeout(self.connect_timeout, TcpStream::connect(addr)).await {
                Ok(Ok(stream)) => {
                    let peer = stream.peer_addr().map_err(|_| WireError::Peer { host: host.clone() })?;
                    if peer.ip() != addr.ip() {
                        return Err(WireError::Peer { host });
                    }
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(err)) => last = Some(WireError::Connect { host: host.clone(), detail: err.to_string() }),
                Err(_) => last = Some(slow(Phase::Connect, self.connect_timeout)),
            }
        }
        Err(last.unwrap_or_else(|| WireError::Connect { host, detail: "it has no address".to_owned() }))
    }

    /// Trusts whom the target trusts, and shows what it shows. A client with a certificate resumes no session: a session
    /// is as good as the certificate.
    fn connector(&self, target: &Target) -> TlsConnector {
        let trusting = target.authority.as_ref().map_or(&self.tls, Authority::config);
        let Some(key) = target.identity.as_ref().and_then(Identity::key) else {
            return TlsConnector::from(Arc::clone(trusting));
        };
        let mut config = ClientConfig::clone(trusting);
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(key)));
        config.resumption = Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    }

    async fn secure(
        &self,
        target: &Target,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, WireError> {
        let host = target.host.to_string();
        let tls = |detail: String| WireError::Tls { host: host.clone(), detail };
        let name = match &target.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|err| tls(err.to_string()))?,
            Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
        };
        match timeout(self.connect_timeout, self.connector(target).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(err)) => Err(tls(err.to_string())),
            Err(_) => Err(slow(Phase::Tls, self.connect_timeout)),
        }
    }
}

#[async_trait]
impl Wire for Live {
    async fn exchange(
        &self,
        target: &Target,
        request: WireRequest,
        sent: &SentMark,
    ) -> Result<WireResponse, WireError> {
        let stream = self.dial(target).await?;
        if target.tls {
            let stream = self.secure(target, stream).await?;
            Box::pin(talk(Marked { stream, sent: sent.clone() }, &target.caps, self.pacing, request)).await
        } else {
            Box::pin(talk(Marked { stream, sent: sent.clone() }, &target.caps, self.pacing, request)).await
        }
    }
}

/// One request and its answer over a connection nothing was sent on yet. The connection ends with this function.
async fn talk<S>(
    stream: Marked<S>,
    caps: &Caps,
    pacing: Pacing,
    request: WireRequest,
) -> Result<WireResponse, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut builder = http1::Builder::new();
    builder.max_headers(caps.headers).max_header_size(caps.head_bytes);
    let (mut sender, mut connection) = builder.handshake(TokioIo::new(stream)).await.map_err(decode::broken)?;
    let mut message = hyper::Request::new(Full::new(request.body));
    *message.method_mut() = request.method;
    *message.uri_mut() =
        request.path.parse().map_err(|_| WireError::Broken { detail: "the path is no request target".to_owned() })?;
    for (name, value) in request.headers {
        message.headers_mut().append(name, value);
    }
    let answer = async {
        let head = timeout(pacing.first_byte, sender.send_request(message)).await;
        let head = head.map_err(|_| slow(Phase::FirstByte, pacing.first_byte))?;
        decode::read(head.map_err(|err| head_error(err, caps))?, caps, pacing.body).await
    };
    let answer = {
        tokio::pin!(answer);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                // Its own error reaches `answer` too, with more context.
                _ = &mut connection, if open => open = false,
            }
        }
    }?;
    // Nothing of it was used, and nothing of it will be: but who says where an answer ends and goes on talking may have
    // said anything. Line ends are a habit of old servers.
    if connection.into_parts().read_buf.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
        return Err(WireError::Protocol { detail: "more bytes follow the length it names".to_owned() });
    }
    Ok(answer)
}

fn slow(phase: Phase, limit: Duration) -> WireError {
    WireError::Slow { phase, millis: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}

fn head_error(err: hyper::Error, caps: &Caps) -> WireError {
    if err.is_parse_too_large() {
        return WireError::TooLarge { part: "head", limit: caps.head_bytes };
    }
    decode::broken(err)
}

/// A stream that sets the mark before it hands the first byte on, and hands none on when it is too late. It sits above
/// TLS, so handshake bytes do not count.
struct Marked<S> {
    stream: S,
    sent: SentMark,
}

impl<S> Marked<S> {
    fn mark(&self) -> io::Result<()> {
        if self.sent.is_too_late() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no byte may leave any more"));
        }
        self.sent.set();
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Marked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Marked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.mark()?;
        // `return` writes one byte, the next one dies.
        crash_point!("cp08_part_written", Pin::new(&mut self.stream).poll_write(cx, &buf[..1]));
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.mark()?;
        crash_point!("cp08_part_written", Pin::new(&mut self.stream).poll_write(cx, &bufs[0][..1]));
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
