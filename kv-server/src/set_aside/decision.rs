//! What is done with a store that cannot be opened, from what is known so far.

/// Why a store is not simply opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The engine says that it is damaged.
    Damage,
    /// It opens and cannot be read, or the process that had it ended without a word soon after its start: that may have been killed by what
    /// it read.
    Doubt,
    /// Anything else: no right, no space, another version, open already, not there, another node's.
    Other,
}

/// What a child process found that opened the store and read through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// It is damaged, or reading it killed the child.
    Damaged,
    /// All of it can be read.
    Sound,
    /// It could not be looked at.
    Unclear,
}

/// What the other members have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Every partition has a read quorum of others that can be reached and lack nothing.
    Suffice,
    /// Some partition has not.
    TooFew,
    /// It is not known who they are.
    Unknown,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The store is opened as ever.
    Open,
    /// A child process looks at it.
    Confirm,
    /// The others are asked how they are.
    AskOthers,
    /// It is set aside, and the node begins anew with an empty one.
    SetAside,
    /// The node stays down, and nothing is touched.
    StayDown(Reason),
}

/// Why a node stays down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The store is not damaged; something else is to be mended.
    NotDamage,
    /// The second look found nothing.
    NotConfirmed,
    /// The second look was not possible.
    Unclear,
    /// The configuration says so.
    SwitchedOff,
    /// Too few others have what this node would need.
    TooFewOthers,
    /// It is not known who the others are.
    OthersUnknown,
}

/// What is done next about a store: each question is asked when the answers before it leave it open.
pub(super) fn next(
    failure: Failure,
    confirmation: Option<Confirmation>,
    others: Option<Others>,
    is_allowed: bool,
) -> Step {
    match (failure, confirmation, others) {
        (Failure::Other, ..) => Step::StayDown(Reason::NotDamage),
        (_, None, _) => Step::Confirm,
        (Failure::Doubt, Some(Confirmation::Sound | Confirmation::Unclear), _) => Step::Open,
        (Failure::Damage, Some(Confirmation::Sound), _) => Step::StayDown(Reason::NotConfirmed),
        (Failure::Damage, Some(Confirmation::Unclear), _) => Step::StayDown(Reason::Unclear),
        (_, Some(Confirmation::Damaged), _) if !is_allowed => Step::StayDown(Reason::SwitchedOff),
        (_, Some(Confirmation::Damaged), None) => Step::AskOthers,
        (_, Some(Confirmation::Damaged), Some(Others::Suffice)) => Step::SetAside,
        (_, Some(Confirmation::Damaged), Some(Others::TooFew)) => Step::StayDown(Reason::TooFewOthers),
        (_, Some(Confirmation::Damaged), Some(Others::Unknown)) => Step::StayDown(Reason::OthersUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIRMATIONS: [Option<Confirmation>; 4] =
        [None, Some(Confirmation::Damaged), Some(Confirmation::Sound), Some(Confirmation::Unclear)];
    const OTHERS: [Option<Others>; 4] =
        [None, Some(Others::Suffice), Some(Others::TooFew), Some(Others::Unknown)];

    #[test]
    fn each_answer_leads_to_the_next_question_or_to_an_end() {
        use Confirmation::{Damaged, Sound, Unclear};
        use Failure::{Damage, Doubt};
        use Reason::{NotConfirmed, OthersUnknown, SwitchedOff, TooFewOthers};
        let table = [
            (Damage, None, None, true, Step::Confirm),
            (Damage, None, None, false, Step::Confirm),
            (Damage, Some(Sound), None, true, Step::StayDown(NotConfirmed)),
            (Damage, Some(Unclear), None, true, Step::StayDown(Reason::Unclear)),
            (Damage, Some(Damaged), None, false, Step::StayDown(SwitchedOff)),
            (Damage, Some(Damaged), None, true, Step::AskOthers),
            (Damage, Some(Damaged), Some(Others::Suffice), true, Step::SetAside),
            (Damage, Some(Damaged), Some(Others::TooFew), true, Step::StayDown(TooFewOthers)),
            (Damage, Some(Damaged), Some(Others::Unknown), true, Step::StayDown(OthersUnknown)),
            (Doubt, None, None, true, Step::Confirm),
            (Doubt, Some(Sound), None, true, Step::Open),
            (Doubt, Some(Unclear), None, true, Step::Open),
            (Doubt, Some(Damaged), None, false, Step::StayDown(SwitchedOff)),
            (Doubt, Some(Damaged), None, true, Step::AskOthers),
            (Doubt, Some(Damaged), Some(Others::Suffice), true, Step::SetAside),
            (Doubt, Some(Damaged), Some(Others::TooFew), true, Step::StayDown(TooFewOthers)),
        ];
        for (failure, confirmation, others, is_allowed, step) in table {
            let known = (failure, confirmation, others, is_allowed);
            assert_eq!(next(failure, confirmation, others, is_allowed), step, "{known:?}");
        }
    }

    #[test]
    fn a_store_is_set_aside_only_if_everything_speaks_for_it() {
        for failure in [Failure::Damage, Failure::Doubt, Failure::Other] {
            for (confirmation, others) in
                CONFIRMATIONS.iter().flat_map(|found| OTHERS.map(|others| (*found, others)))
            {
                for is_allowed in [true, false] {
                    let all = failure != Failure::Other
                        && confirmation == Some(Confirmation::Damaged)
                        && others == Some(Others::Suffice)
                        && is_allowed;
                    let step = next(failure, confirmation, others, is_allowed);
                    assert_eq!(
                        step == Step::SetAside,
                        all,
                        "{failure:?} {confirmation:?} {others:?} {is_allowed}"
                    );
                    if failure == Failure::Other {
                        assert_eq!(step, Step::StayDown(Reason::NotDamage));
                    }
                }
            }
        }
    }
}
