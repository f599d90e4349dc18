//! The honest answer: a hickory request handler over a scenario, and a way to run it without
//! hickory's transport.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hickory_proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};

use crate::scenario::{HonestAnswer, LabScenario};

/// Largest UDP message in octets, as the OPT of answers advertises it (RFC 9715).
pub(crate) const UDP_SIZE: u16 = 1232;

/// The simulated public DNS as a hickory request handler. It answers as a recursive server that has
/// everything in the scenario cached. It also works behind hickory-server's own listeners, without
/// faults.
#[derive(Debug, Clone)]
pub struct PublicDns {
    /// Records that the answers come from.
    pub scenario: Arc<LabScenario>,
    /// Differences from the plain answer.
    pub twist: AnswerTwist,
}

/// Differences from the plain answer that still result in a well-formed message.
#[derive(Debug, Clone, Default)]
pub struct AnswerTwist {
    /// RCODE to return instead of the answer.
    pub rcode: Option<ResponseCode>,
    /// Return only the first CNAME of the chain.
    pub first_hop: bool,
    /// Send no OPT, even if the question has one.
    pub no_edns: bool,
    /// Records to append to the honest ones.
    pub inject: Vec<Record>,
}

impl PublicDns {
    /// Returns the answer to a request as bytes, not truncated. Returns `None` if it could not be
    /// encoded.
    pub(crate) fn answer(&self, request: &Request) -> Option<Vec<u8>> {
        let capture = Capture::default();
        // The handler never waits, so one poll completes it without a runtime.
        let handled = pin!(self.handle_request::<Capture, TokioTime>(request, capture.clone()));
        let Poll::Ready(_) = handled.poll(&mut Context::from_waker(Waker::noop())) else { return None };
        let bytes = std::mem::take(&mut *capture.0.lock().unwrap_or_else(PoisonError::into_inner));
        (!bytes.is_empty()).then_some(bytes)
    }

    fn outcome(&self, request: &Request, edns: Option<&Edns>) -> HonestAnswer {
        let bare = |rcode| HonestAnswer { rcode, answers: Vec::new(), soa: None };
        if request.metadata.op_code != OpCode::Query {
            return bare(ResponseCode::NotImp);
        }
        if edns.is_some_and(|edns| edns.version() != 0) {
            return bare(ResponseCode::BADVERS);
        }
        let Ok(info) = request.request_info() else { return bare(ResponseCode::FormErr) };
        let (question, kind) = (info.query.original().name(), info.query.query_type());
        if info.query.query_class() != DNSClass::IN || matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return bare(ResponseCode::Refused);
        }
        match self.twist.rcode {
            Some(ResponseCode::NXDomain) => {
                HonestAnswer { soa: Some(self.scenario.soa(info.query.name())), ..bare(ResponseCode::NXDomain) }
            }
            Some(rcode) => bare(rcode),
            None => {
                let mut outcome = self.scenario.resolve(question, kind, self.twist.first_hop);
                outcome.answers.extend_from_slice(&self.twist.inject);
                outcome
            }
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for PublicDns {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut reply: R) -> ResponseInfo {
        let asked = request.edns.as_ref().filter(|_| !self.twist.no_edns);
        let outcome = self.outcome(request, asked);
        let edns = asked.map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_SIZE).set_dnssec_ok(asked.flags().dnssec_ok);
            edns.set_rcode_high(outcome.rcode.high());
            edns
        });
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        metadata.authoritative = false;
        metadata.response_code = outcome.rcode;
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            outcome.answers.iter(),
            [],
            outcome.soa.iter(),
            [],
        );
        reply.send_response(response).await.unwrap_or_else(|_| {
            let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
            metadata.response_code = ResponseCode::ServFail;
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }
}

/// Collects the encoded answer instead of sending it.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

#[async_trait::async_trait]
impl ResponseHandler for Capture {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::with_capacity(512);
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(u16::MAX);
        let info = response.destructive_emit(&mut encoder)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        Ok(info)
    }
}
