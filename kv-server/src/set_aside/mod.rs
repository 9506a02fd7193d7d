//! Opening the store of a node. One that is damaged is set aside, if everything speaks for it, and the node begins anew with an empty one.

mod confirm;
mod decision;
mod others;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use kv_core::error::{Error, ErrorKind};
use kv_core::replica::Membership;
use kv_core::storage::Storage;

use self::confirm::Look;
use self::decision::{Failure, Others, Reason, Step, next};
use crate::config::{Engine, ServerConfig};
use crate::data_directory::{DataDirectory, StartMark};
use crate::plugins;

pub(crate) use self::confirm::{CheckArguments, check};

/// Opens the store, or makes it where the configuration allows that. A store that is damaged is set aside if a child process confirms that and the
/// other members have what is in it.
///
/// # Errors
///
/// Why the node has to stay down, and what to do. Nothing was touched.
pub(crate) async fn open_store(
    config: &ServerConfig,
    data: &DataDirectory,
) -> Result<(Arc<dyn Storage>, Option<StartMark>)> {
    if config.engine != Engine::Lmdb {
        return Ok((plugins::open_store(config, &data.store())?, None));
    }
    data.finish_setting_aside()?;
    let (failure, mut found) = if data.has_start_mark() {
        tracing::warn!(
            "the process before this one ended soon after its start without a word: its store is read through first"
        );
        (Failure::Doubt, None)
    } else {
        match open(config, data) {
            Ok(opened) => return Ok(opened),
            Err(error) => (failure_of(&error), Some(error)),
        }
    };
    if let Some(error) = found.as_ref().filter(|_| failure != Failure::Other) {
        tracing::error!(%error, "the store cannot be opened");
    }
    let (mut confirmation, mut others, mut says) = (None, None, String::new());
    let mut membership = None;
    loop {
        match next(failure, confirmation, others, config.set_aside_damaged) {
            Step::Open => return Ok(open(config, data)?),
            Step::Confirm => {
                let Look { found, says: told } = confirm::look(config, data).await;
                tracing::info!(?found, says = %told, "a child process looked at the store");
                (confirmation, says) = (Some(found), told);
            }
            Step::AskOthers => {
                let told = data.read_membership().and_then(|told| check_node(config, told));
                let (answer, told) = match told {
                    Ok(Some(told)) => {
                        let (answer, says) = others::look(config, &told).await;
                        membership = Some(told);
                        (answer, says)
                    }
                    Ok(None) => (Others::Unknown, "it has no copy of its membership".into()),
                    Err(error) => (Others::Unknown, error.to_string()),
                };
                tracing::info!(others = ?answer, says = %told, "the other members were asked");
                says = format!("{says}; {told}");
                others = Some(answer);
            }
            Step::SetAside => {
                let Some(membership) = membership else { return Err(anyhow!("nobody was asked")) };
                return begin_anew(config, data, &membership).context("the store could not be set aside");
            }
            Step::StayDown(Reason::NotDamage) if found.is_some() => {
                return Err(found.take().map_or_else(|| anyhow!(says), anyhow::Error::from));
            }
            Step::StayDown(reason) => return Err(refusal(reason, found, &says, data)),
        }
    }
}

fn open(config: &ServerConfig, data: &DataDirectory) -> Result<(Arc<dyn Storage>, Option<StartMark>), Error> {
    let mark = data.mark_start();
    let store = plugins::open_store(config, &data.store())?;
    // What is not looked at before it is read first.
    Membership::read(&*store)?;
    Ok((store, Some(mark)))
}

fn failure_of(error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageDamaged => Failure::Damage,
        ErrorKind::StorageFailed => Failure::Doubt,
        _ => Failure::Other,
    }
}

fn check_node(config: &ServerConfig, told: Option<Membership>) -> Result<Option<Membership>, Error> {
    let node = config.node_id();
    match told {
        Some(told) if told.identity.node != node => Err(Error::new(
            ErrorKind::WrongIdentity,
            format!(
                "the data in {} belongs to node {}, and this is configured as node {node}",
                config.data.display(),
                told.identity.node
            ),
        )),
        told => Ok(told),
    }
}

/// Makes a store that is empty and has no vote, and puts it into the place of the damaged one.
fn begin_anew(
    config: &ServerConfig,
    data: &DataDirectory,
    membership: &Membership,
) -> Result<(Arc<dyn Storage>, Option<StartMark>)> {
    let fresh = data.prepare_new_store()?;
    membership.begin_anew(&*plugins::make_store(config, &fresh)?)?;
    let aside = data.set_store_aside()?;
    tracing::warn!(
        aside = %aside.display(),
        "the damaged store was set aside, and the node begins anew with an empty one: it gets what the others have, and has no vote before. \
         Nothing was deleted; remove what was set aside when nobody wants to look at it any more"
    );
    Ok(open(config, data)?)
}

/// Why the node stays down, and what to do.
fn refusal(reason: Reason, found: Option<Error>, says: &str, data: &DataDirectory) -> anyhow::Error {
    let store = data.store();
    let store = store.display();
    let replace = format!(
        "move {store} away, start the node, and run kv cluster init --replace against a member that has its data"
    );
    let what_to_do = match reason {
        Reason::NotDamage => String::new(),
        Reason::NotConfirmed => {
            "a second look found nothing wrong: start the node again, and suspect the disk or the memory if this comes back".into()
        }
        Reason::Unclear => format!("a child process could not look at it ({says}): mend that and start the node again"),
        Reason::SwitchedOff => format!(
            "it is damaged ({says}), and storage.set_aside_damaged is false: set it to true and start the node again, or {replace}"
        ),
        Reason::TooFewOthers => format!(
            "it is damaged ({says}). It is not set aside, because it may hold what no other member has. Start the members that are down and let \
             them recover, then start this node again; if they are lost for good, {replace}: what nobody else has is then lost"
        ),
        Reason::OthersUnknown => {
            format!("it is damaged ({says}), and so it is not known what the other members have: {replace}")
        }
    };
    let found = found
        .map_or_else(|| "reading it ended the process before this one".into(), |error| error.to_string());
    match what_to_do.as_str() {
        "" => anyhow!(found),
        what_to_do => {
            anyhow!("the store in {store} cannot be opened: {found}. Nothing was touched: {what_to_do}")
        }
    }
}
