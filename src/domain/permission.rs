//! Whether a caller may do an operation on an agent: reach (which organisations' agents it sees),
//! and dominance (it gives nothing that its own agent lacks).
//!
//! Must not know how the operation is done, or whether it fits the agent's state.

use super::agent::LiveTokens;
use super::dominance::{Excess, HeldMember, Holdings, ServerDefaults, excess};
use super::org::Reach;
use super::rejection::FieldError;
use super::scope::{Scope, is_admin};

/// What a caller is judged by.
#[derive(Debug, Clone, Copy)]
pub struct CallerRights<'a> {
    /// The caller's own agent, as it is now.
    pub own: Holdings<'a>,
    /// Whether the caller's token has an admin scope. In the first organisation it lifts all rules
    /// everywhere; in another one it lifts dominance there.
    pub is_admin: bool,
}

/// An operation on an agent, with what decides whether a caller may do it.
#[derive(Debug, Clone, Copy)]
pub enum AgentOperation<'a> {
    /// Make it.
    Create {
        /// The agent.
        made: Holdings<'a>,
        /// Whether the caller chose the id.
        chosen_id: bool,
    },
    /// Change its profile.
    Change {
        /// The agent now.
        before: Holdings<'a>,
        /// The agent after the change.
        after: Holdings<'a>,
        /// What happens to its live tokens.
        tokens: LiveTokens,
    },
    /// Stop it for ever.
    Decommission(Holdings<'a>),
    /// Let it work again.
    Reactivate {
        /// The agent.
        target: Holdings<'a>,
        /// Whether it was suspended with an admin scope or by a command, or whether it is not known
        /// who suspended it.
        suspended_by_admin: bool,
    },
    /// Make it a secret, by adding one or by rotating.
    GiveCredential(Holdings<'a>),
    /// Give it a public key, by adding one or by rotating. An agent gives itself secrets only.
    GiveKeys(Holdings<'a>),
    /// End one of its credentials.
    EndCredential {
        /// The agent.
        target: Holdings<'a>,
        /// What happens to its live tokens.
        tokens: LiveTokens,
    },
    /// Suspend it, or kill its live tokens.
    Kill(Holdings<'a>),
}

/// Why a caller may not do an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The agent is in an organisation that the caller does not reach: to the caller it does not
    /// exist.
    OutOfReach,
    /// The agent would be in an organisation that the caller does not reach: to the caller the
    /// organisation does not exist.
    UnknownOrg,
    /// Every rule that the operation breaks, each with the member that is too much (a JSON
    /// Pointer, empty if no member is).
    Forbidden(Vec<FieldError>),
}

const OWN_RECORD: &str = "an agent without an admin scope does not change itself";
const KILLS_ADMIN: &str = "only an admin scope stops an agent that has one";
const NEEDS_ADMIN: &str =
    "an admin scope or a command suspended the agent: only these reactivate it";
const CHOSEN_ID: &str = "only an admin scope of the organisation `default` chooses an agent's id";
const GIVES_ADMIN: &str = "only an admin scope of the organisation `default` gives an admin scope";
const MOVES: &str = "an agent never changes its organisation";
const HAS_MORE: &str = "the agent has more than the caller's own agent";
const GETS_MORE: &str = "the caller's own agent has less";

impl<'a> CallerRights<'a> {
    /// Which organisations' agents the caller sees and changes.
    pub fn reaches(&self, org_id: &str) -> bool {
        self.reach().covers(self.own.org_id, org_id)
    }

    /// Whether the caller may do this. It is told every rule that the operation breaks.
    pub fn may(
        &self,
        operation: &AgentOperation<'a>,
        defaults: &ServerDefaults<'_>,
    ) -> Result<(), Denial> {
        use AgentOperation::{
            Change, Create, Decommission, EndCredential, GiveCredential, GiveKeys, Kill, Reactivate,
        };
        let mut broken = Vec::new();
        match operation {
            Create { made, chosen_id } => {
                if !self.reaches(made.org_id) {
                    return Err(Denial::UnknownOrg);
                }
                if *chosen_id && self.reach() != Reach::All {
                    broken.push(FieldError::new("/agentId", CHOSEN_ID));
                }
                broken.extend(self.gets(None, made, defaults));
            }
            Change {
                before,
                after,
                tokens,
            } => {
                self.demand_reach(before)?;
                broken.extend(self.has(before, defaults));
                broken.extend(self.gets(Some(before), after, defaults));
                broken.extend(self.own_record(before));
                broken.extend(self.kills(before, *tokens));
                if before.org_id != after.org_id {
                    broken.push(FieldError::new(HeldMember::OrgId.pointer(), MOVES));
                }
            }
            Decommission(target) => {
                self.demand_reach(target)?;
                broken.extend(self.has(target, defaults));
                broken.extend(self.own_record(target));
                broken.extend(self.kills(target, LiveTokens::Kill));
            }
            Reactivate {
                target,
                suspended_by_admin,
            } => {
                self.demand_reach(target)?;
                broken.extend(self.has(target, defaults));
                broken.extend(self.own_record(target));
                if *suspended_by_admin && !self.is_admin {
                    broken.push(FieldError::new("/status", NEEDS_ADMIN));
                }
            }
            GiveCredential(target) => {
                self.demand_reach(target)?;
                broken.extend(self.has(target, defaults));
            }
            GiveKeys(target) => {
                self.demand_reach(target)?;
                broken.extend(self.has(target, defaults));
                broken.extend(self.own_record(target));
            }
            EndCredential { target, tokens } => {
                self.demand_reach(target)?;
                broken.extend(self.has(target, defaults));
                broken.extend(self.kills(target, *tokens));
            }
            Kill(target) => {
                self.demand_reach(target)?;
                broken.extend(self.kills(target, LiveTokens::Kill));
            }
        }
        if broken.is_empty() {
            Ok(())
        } else {
            Err(Denial::Forbidden(broken))
        }
    }

    fn reach(&self) -> Reach {
        Reach::of(self.own.org_id, self.is_admin)
    }

    fn demand_reach(&self, target: &Holdings<'_>) -> Result<(), Denial> {
        if self.reaches(target.org_id) {
            Ok(())
        } else {
            Err(Denial::OutOfReach)
        }
    }

    fn is_own(&self, target: &Holdings<'_>) -> bool {
        self.own.agent_id == target.agent_id
    }

    fn own_record(&self, target: &Holdings<'_>) -> Option<FieldError> {
        (!self.is_admin && self.is_own(target)).then(|| FieldError::new("", OWN_RECORD))
    }

    fn kills(&self, target: &Holdings<'_>, tokens: LiveTokens) -> Option<FieldError> {
        let holds_admin = || target.terms.scopes.iter().any(is_admin_scope);
        (tokens == LiveTokens::Kill && !self.is_admin && holds_admin())
            .then(|| FieldError::new("", KILLS_ADMIN))
    }

    /// What the agent has already and the caller's own agent lacks, once a member.
    fn has(&self, target: &Holdings<'_>, defaults: &ServerDefaults<'_>) -> Vec<FieldError> {
        if self.is_admin {
            return vec![];
        }
        let mut members: Vec<HeldMember> = excess(target, &self.own, defaults)
            .iter()
            .map(|found| found.member)
            .collect();
        members.dedup();
        let error = |member: HeldMember| FieldError::new(member.pointer(), HAS_MORE);
        members.into_iter().map(error).collect()
    }

    /// What the operation would give the agent: members that differ from `before`, with what the
    /// caller's own agent lacks in them, and admin scopes.
    fn gets(
        &self,
        before: Option<&Holdings<'_>>,
        after: &Holdings<'_>,
        defaults: &ServerDefaults<'_>,
    ) -> Vec<FieldError> {
        let found = if self.is_admin {
            vec![]
        } else {
            excess(after, &self.own, defaults)
        };
        let is_new =
            |found: &&Excess| before.is_none_or(|before| differs(found.member, before, after));
        let mut errors: Vec<FieldError> = found
            .iter()
            .filter(is_new)
            .map(|found| FieldError::new(found.pointer(), GETS_MORE))
            .collect();
        if self.reach() != Reach::All {
            let had = |scope| before.is_some_and(|before| before.terms.scopes.contains(scope));
            let scopes = after.terms.scopes.iter().enumerate();
            let given = scopes.filter(|(_, scope)| is_admin_scope(scope) && !had(scope));
            errors.extend(given.map(|(place, _)| {
                let place = Excess {
                    member: HeldMember::Scopes,
                    index: Some(place),
                };
                FieldError::new(place.pointer(), GIVES_ADMIN)
            }));
        }
        errors
    }
}

fn is_admin_scope(scope: &Scope) -> bool {
    is_admin(scope.as_str())
}

/// Whether this member is another one after the change.
fn differs(member: HeldMember, before: &Holdings<'_>, after: &Holdings<'_>) -> bool {
    let (old, new) = (before.terms, after.terms);
    match member {
        HeldMember::Scopes => old.scopes != new.scopes,
        HeldMember::UserIds => old.user_ids != new.user_ids,
        HeldMember::RedirectUris => old.redirect_uris != new.redirect_uris,
        HeldMember::Audiences => old.audiences != new.audiences,
        HeldMember::Plan => old.plan != new.plan,
        HeldMember::Ttl => old.ttl != new.ttl,
        HeldMember::ExpiresAt => before.expires_at != after.expires_at,
        // That an agent would move is told apart from this.
        HeldMember::OrgId => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::AgentOperation::{
        Change, Create, Decommission, EndCredential, GiveCredential, Kill, Reactivate,
    };
    use super::*;
    use crate::domain::id::AgentId;
    use crate::domain::org::DEFAULT_ORG;
    use crate::domain::samples::kit::{Sample, defaults, dominates, plans, samples};
    use crate::domain::time::Timestamp;

    fn scopes(names: &[&str]) -> Vec<Scope> {
        names
            .iter()
            .map(|name| Scope::parse(name).unwrap())
            .collect()
    }

    /// An agent with these scopes, one user, no other list, and no end.
    fn agent(agent_id: &str, org_id: &'static str, names: &[&str]) -> Sample {
        let mut runner = TestRunner::deterministic();
        let any = samples(&[DEFAULT_ORG]).new_tree(&mut runner).unwrap();
        let mut sample = any.current();
        sample.agent_id = AgentId::parse(agent_id).unwrap();
        sample.org_id = org_id;
        sample.expires_at = None;
        let terms = Arc::make_mut(&mut sample.terms);
        terms.scopes = scopes(names);
        (terms.audiences, terms.redirect_uris, terms.user_ids) = (vec![], vec![], vec![]);
        (terms.ttl, terms.plan) = (None, crate::domain::quota::PlanName::free());
        sample
    }

    fn judge(
        caller: &Sample,
        is_admin: bool,
        operation: &AgentOperation<'_>,
    ) -> Result<(), Denial> {
        let (plans, own) = (plans(), caller.holdings());
        CallerRights { own, is_admin }.may(operation, &defaults(&plans))
    }

    #[track_caller]
    fn forbids(judged: Result<(), Denial>, expected: &[(&str, &str)]) {
        let Err(Denial::Forbidden(errors)) = judged else {
            panic!("{judged:?}");
        };
        let told: Vec<(&str, &str)> = errors.iter().map(|e| (&*e.field, &*e.reason)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn every_member_that_is_too_much_is_named_at_once() {
        let caller = agent("c", DEFAULT_ORG, &["agents:write", "db:read"]);
        let mut made = agent("m", DEFAULT_ORG, &["db:read", "db:write", "admin:orgs"]);
        Arc::make_mut(&mut made.terms).ttl = Some(crate::domain::ttl::Ttl::new(900).unwrap());
        let operation = Create {
            made: made.holdings(),
            chosen_id: true,
        };
        let expected = [
            ("/agentId", CHOSEN_ID),
            ("/scopes/1", GETS_MORE),
            ("/scopes/2", GETS_MORE),
            ("/ttl", GETS_MORE),
            ("/scopes/2", GIVES_ADMIN),
        ];
        forbids(judge(&caller, false, &operation), &expected);
        assert_eq!(judge(&caller, true, &operation), Ok(()));
    }

    #[test]
    fn an_agent_with_more_is_not_changed_even_to_less() {
        let caller = agent("c", DEFAULT_ORG, &["agents:write", "db:read"]);
        let before = agent("t", DEFAULT_ORG, &["db:write"]);
        let after = agent("t", DEFAULT_ORG, &["db:read"]);
        let change = |before: &Sample, after: &Sample| {
            let operation = Change {
                before: before.holdings(),
                after: after.holdings(),
                tokens: LiveTokens::Keep,
            };
            judge(&caller, false, &operation)
        };
        forbids(change(&before, &after), &[("/scopes", HAS_MORE)]);
        forbids(change(&after, &before), &[("/scopes/0", GETS_MORE)]);
        // A member that the change leaves alone is told once.
        forbids(change(&before, &before), &[("/scopes", HAS_MORE)]);
        assert_eq!(change(&after, &after), Ok(()));
        let operation = GiveCredential(before.holdings());
        forbids(judge(&caller, false, &operation), &[("/scopes", HAS_MORE)]);
    }

    #[test]
    fn a_caller_changes_itself_only_by_its_credentials() {
        let caller = agent("c", DEFAULT_ORG, &["agents:write"]);
        let own = caller.holdings();
        let change = Change {
            before: own,
            after: own,
            tokens: LiveTokens::Keep,
        };
        let reactivate = Reactivate {
            target: own,
            suspended_by_admin: false,
        };
        for operation in [change, reactivate, Decommission(own)] {
            forbids(judge(&caller, false, &operation), &[("", OWN_RECORD)]);
            assert_eq!(judge(&caller, true, &operation), Ok(()));
        }
        let end = EndCredential {
            target: own,
            tokens: LiveTokens::Kill,
        };
        for operation in [GiveCredential(own), end, Kill(own)] {
            assert_eq!(judge(&caller, false, &operation), Ok(()));
        }
    }

    #[test]
    fn a_kill_needs_reach_alone_unless_the_agent_has_an_admin_scope() {
        let caller = agent("c", DEFAULT_ORG, &["agents:write"]);
        let more = agent("t", DEFAULT_ORG, &["db:write"]);
        let admin = agent("t", DEFAULT_ORG, &["admin:orgs"]);
        let elsewhere = agent("t", "other", &[]);
        let kill = |target: &Sample, is_admin| judge(&caller, is_admin, &Kill(target.holdings()));
        assert_eq!(kill(&more, false), Ok(()));
        forbids(kill(&admin, false), &[("", KILLS_ADMIN)]);
        assert_eq!(kill(&admin, true), Ok(()));
        assert_eq!(kill(&elsewhere, false), Err(Denial::OutOfReach));
        assert_eq!(kill(&elsewhere, true), Ok(()));
    }

    #[test]
    fn what_an_admin_suspended_only_an_admin_reactivates() {
        let caller = agent("c", DEFAULT_ORG, &["agents:write"]);
        let target = agent("t", DEFAULT_ORG, &[]);
        let reactivate = |is_admin, suspended_by_admin| {
            let operation = Reactivate {
                target: target.holdings(),
                suspended_by_admin,
            };
            judge(&caller, is_admin, &operation)
        };
        assert_eq!(reactivate(false, false), Ok(()));
        forbids(reactivate(false, true), &[("/status", NEEDS_ADMIN)]);
        assert_eq!(reactivate(true, true), Ok(()));
    }

    #[test]
    fn an_admin_of_another_organisation_is_one_only_there() {
        let caller = agent("c", "other", &["agents:write", "admin:orgs"]);
        let create = |org_id, names: &[&str], chosen_id| {
            let made = agent("m", org_id, names);
            let operation = Create {
                made: made.holdings(),
                chosen_id,
            };
            judge(&caller, true, &operation)
        };
        assert_eq!(create("other", &["db:write"], false), Ok(()));
        assert_eq!(create(DEFAULT_ORG, &[], false), Err(Denial::UnknownOrg));
        forbids(
            create("other", &["db:write", "admin:orgs"], true),
            &[("/agentId", CHOSEN_ID), ("/scopes/1", GIVES_ADMIN)],
        );
        let target = agent("t", DEFAULT_ORG, &[]);
        for operation in [
            Kill(target.holdings()),
            GiveCredential(target.holdings()),
            Decommission(target.holdings()),
        ] {
            assert_eq!(judge(&caller, true, &operation), Err(Denial::OutOfReach));
        }
        // Reach is no dominance: the same agent without its admin scope gives only what it has.
        let made = agent("m", "other", &["db:write"]);
        let operation = Create {
            made: made.holdings(),
            chosen_id: false,
        };
        forbids(
            judge(&caller, false, &operation),
            &[("/scopes/0", GETS_MORE)],
        );
    }

    /// An agent of the model, and whether it may work.
    #[derive(Debug, Clone)]
    struct Entry {
        agent: Sample,
        state: State,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum State {
        Active,
        Suspended { by_admin: bool },
        Gone,
    }

    /// One random operation. The agents are named by numbers, which are taken modulo how many there
    /// are.
    #[derive(Debug, Clone)]
    struct Step {
        kind: u8,
        actor: usize,
        target: usize,
        sample: Sample,
        /// The sample is cut down to what this agent has, so that it is often permitted.
        like: Option<usize>,
        /// Whether the actor's token has the admin scope that its agent may have.
        wide_token: bool,
    }

    /// All agents, and the numbers of those whose secrets the caller has. The caller is number 0.
    struct World {
        agents: Vec<Entry>,
        held: BTreeSet<usize>,
        permitted: usize,
    }

    impl World {
        /// Does what the step asks for, if it is permitted.
        fn step(&mut self, step: &Step) {
            let able = |number: &&usize| {
                let entry = &self.agents[**number];
                let writes = |scope: &Scope| scope.as_str() == "agents:write";
                entry.state == State::Active && entry.agent.terms.scopes.iter().any(writes)
            };
            let actors: Vec<&usize> = self.held.iter().filter(able).collect();
            if actors.is_empty() {
                return;
            }
            let actor = self.agents[*actors[step.actor % actors.len()]]
                .agent
                .clone();
            let number = step.target % self.agents.len();
            let target = self.agents[number].clone();
            let holds_admin = actor.terms.scopes.iter().any(is_admin_scope);
            let is_admin = step.wide_token && holds_admin;
            let mut sample = step.sample.clone();
            if let Some(like) = step.like {
                let model = &self.agents[like % self.agents.len()].agent;
                let narrow = Arc::make_mut(&mut sample.terms);
                let (all, wide) = (&model.terms, narrow.clone());
                *narrow = (**all).clone();
                narrow.scopes.retain(|scope| wide.scopes.contains(scope));
                (sample.org_id, sample.expires_at) = (model.org_id, model.expires_at);
            }
            sample.agent_id = match step.kind {
                0 => AgentId::parse(&format!("made-{}", self.agents.len())).unwrap(),
                _ => target.agent.agent_id.clone(),
            };
            if step.kind != 0 {
                sample.org_id = target.agent.org_id;
            }
            let (before, suspended) = (target.agent.holdings(), target.state);
            let operation = match step.kind {
                0 => Create {
                    made: sample.holdings(),
                    chosen_id: false,
                },
                1 => Change {
                    before,
                    after: sample.holdings(),
                    tokens: LiveTokens::Keep,
                },
                2 => Reactivate {
                    target: before,
                    suspended_by_admin: suspended == State::Suspended { by_admin: true },
                },
                3 => GiveCredential(before),
                4 => Decommission(before),
                _ => Kill(before),
            };
            // A decommissioned agent accepts nothing, whoever asks.
            if (step.kind != 0 && target.state == State::Gone)
                || judge(&actor, is_admin, &operation).is_err()
            {
                return;
            }
            self.permitted += 1;
            match step.kind {
                0 => {
                    self.held.insert(self.agents.len());
                    self.agents.push(Entry {
                        agent: sample,
                        state: State::Active,
                    });
                }
                1 => self.agents[number].agent = sample,
                2 => self.agents[number].state = State::Active,
                3 => {
                    self.held.insert(number);
                }
                4 => self.agents[number].state = State::Gone,
                // A suspension by an admin outlasts one by others.
                _ => {
                    let known = target.state == State::Suspended { by_admin: true };
                    self.agents[number].state = State::Suspended {
                        by_admin: is_admin || known,
                    };
                }
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (
            0..6_u8,
            any::<usize>(),
            any::<usize>(),
            samples(&[DEFAULT_ORG, "other"]),
            prop::option::weighted(0.8, any::<usize>()),
            any::<bool>(),
        );
        let step = step.prop_map(|(kind, actor, target, sample, like, wide_token)| Step {
            kind,
            actor,
            target,
            sample,
            like,
            wide_token,
        });
        prop::collection::vec(step, 1..40)
    }

    fn worlds() -> impl Strategy<Value = Vec<Entry>> {
        let state = prop::sample::select(vec![
            State::Active,
            State::Suspended { by_admin: false },
            State::Suspended { by_admin: true },
        ]);
        let entry = (samples(&[DEFAULT_ORG, "other"]), state);
        prop::collection::vec(entry, 2..6).prop_map(|entries| {
            let numbered = entries.into_iter().enumerate();
            numbered
                .map(|(number, (mut agent, state))| {
                    agent.agent_id = AgentId::parse(&format!("agent-{number}")).unwrap();
                    Entry { agent, state }
                })
                .collect()
        })
    }

    /// Runs random sequences of operations of a caller with these scopes besides random ones, and
    /// checks the world after every operation. Returns how many operations were permitted.
    fn search(caller: impl Fn(&mut Sample), holds: impl Fn(&[Entry], &World)) -> usize {
        let mut runner = TestRunner::deterministic();
        let mut permitted = 0;
        for _ in 0..2_000 {
            let mut draw = |strategy: BoxedStrategy<(Vec<Entry>, Vec<Step>)>| {
                strategy.new_tree(&mut runner).unwrap().current()
            };
            let (mut agents, steps) = draw((worlds(), steps()).boxed());
            caller(&mut agents[0].agent);
            agents[0].state = State::Active;
            let first = agents.clone();
            let mut world = World {
                agents,
                held: BTreeSet::from([0]),
                permitted: 0,
            };
            for step in &steps {
                world.step(step);
                holds(&first, &world);
            }
            permitted += world.permitted;
        }
        permitted
    }

    #[test]
    fn no_sequence_of_operations_gives_a_caller_what_it_lacks() {
        let caller = |agent: &mut Sample| {
            let terms = Arc::make_mut(&mut agent.terms);
            terms.scopes.retain(|scope| !is_admin_scope(scope));
            terms.scopes.push(Scope::parse("agents:write").unwrap());
            terms.scopes.dedup();
        };
        let permitted = search(caller, |first, world| {
            let own = &first[0].agent;
            for number in &world.held {
                let agent = &world.agents[*number].agent;
                assert!(dominates(own, agent), "{own:?} got {agent:?}");
            }
            // Nothing but a kill touched an agent that the caller does not dominate.
            for (before, now) in first.iter().zip(&world.agents) {
                if !dominates(own, &before.agent) {
                    assert_eq!(before.agent, now.agent);
                    assert_ne!(now.state, State::Gone);
                }
                let by_admin = State::Suspended { by_admin: true };
                assert!(before.state != by_admin || now.state != State::Active);
            }
        });
        assert!(permitted > 5_000, "{permitted}");
    }

    #[test]
    fn an_admin_of_another_organisation_gets_nothing_outside_it() {
        let caller = |agent: &mut Sample| {
            agent.org_id = "other";
            let terms = Arc::make_mut(&mut agent.terms);
            terms.scopes = scopes(&["agents:write", "admin:orgs"]);
        };
        let permitted = search(caller, |first, world| {
            for number in &world.held {
                assert_eq!(world.agents[*number].agent.org_id, "other");
            }
            for (number, now) in world.agents.iter().enumerate() {
                let before = first.get(number);
                if let Some(before) = before.filter(|before| before.agent.org_id != "other") {
                    assert_eq!(before.agent, now.agent);
                    assert_eq!(before.state, now.state);
                }
                let holds_admin =
                    |entry: &Entry| entry.agent.terms.scopes.iter().any(is_admin_scope);
                assert!(!holds_admin(now) || before.is_some_and(holds_admin));
            }
        });
        assert!(permitted > 5_000, "{permitted}");
    }

    #[test]
    fn an_end_is_compared_too() {
        let mut caller = agent("c", DEFAULT_ORG, &["agents:write"]);
        caller.expires_at = Some(Timestamp(10));
        let mut made = agent("m", DEFAULT_ORG, &[]);
        let create = |made: &Sample| {
            let operation = Create {
                made: made.holdings(),
                chosen_id: false,
            };
            judge(&caller, false, &operation)
        };
        forbids(create(&made), &[("/expiresAt", GETS_MORE)]);
        made.expires_at = Some(Timestamp(10));
        assert_eq!(create(&made), Ok(()));
    }
}
