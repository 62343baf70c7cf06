//! What is made at WhatsApp once, however often its request comes.

use std::future::Future;

use roost_actors::device::{DeviceHandle, Make, MakeError};
use roost_proto::ask::Question;
use roost_proto::ask::making::Made;
use roost_proto::id::DeviceKey;
use tonic::Status;
use tonic::transport::Channel;

use super::Api;
use super::asks::{ask_error, on_its_way, upstream};
use super::call::Call;
use crate::errors::{ApiError, Upstream};

impl Api {
    /// Has the owner of a device make something, and reads what was made: `question` asks for it by its JID, `told` says
    /// what is told of the answer and of what was made. A request with an id of the caller is safe to repeat, so nobody has to be told that its
    /// outcome is unknown; one without is made `once`.
    pub(super) async fn made_once<Q, T, F, FF>(
        &self,
        call: &Call,
        key: &DeviceKey,
        (make, once): (Make, bool),
        (question, told): (impl Fn(&str) -> Result<Q, ApiError>, impl Fn(Q::Answer, Made) -> T),
        there: F,
    ) -> Result<T, ApiError>
    where
        Q: Question,
        F: FnMut(Channel) -> FF,
        FF: Future<Output = Result<T, Status>>,
    {
        let (question, told) = (&question, &told);
        let here = |device: DeviceHandle| {
            let make = make.clone();
            async move {
                on_its_way(call, &device).await;
                let request_id = make.request_id.clone();
                let made = device.make(make, call.left()).await.map_err(|error| match error {
                    MakeError::KeyReused => ApiError::KeyReused { request_id },
                    MakeError::Ask(error) => ask_error(key, &device, error, once),
                })?;
                match device.ask(&question(&made.jid)?, call.left()).await {
                    Ok(answer) => Ok(told(answer, made)),
                    Err(_) if once => Err(upstream(key, Upstream::OutcomeUnknown)),
                    Err(error) => Err(ask_error(key, &device, error, false)),
                }
            }
        };
        let made = match once {
            true => self.router().at_owner_once(call, key, here, there).await,
            false => self.router().at_owner(call, key, here, there).await,
        };
        match made {
            Err(ApiError::NotFound { .. }) => Err(self.missing(key).await),
            Err(
                ApiError::OwnerUnreachable { heard: true, .. } | ApiError::OwnerFailed { heard: true, .. },
            ) if once => Err(upstream(key, Upstream::OutcomeUnknown)),
            made => made,
        }
    }
}
