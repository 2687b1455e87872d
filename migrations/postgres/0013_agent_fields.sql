-- What operators say about an agent, and from when on it is expired. An earlier release writes none of these.
-- "labels" is a JSON object, null without labels. "agent_suspension_epoch" is the epoch that a suspension by an
-- agent without an admin scope gave: while it equals "epoch", such agents may reactivate it. A kill by an earlier
-- release raises "epoch" alone, so that it counts as an operator's.
alter table agent add column description text;
alter table agent add column owner text;
alter table agent add column labels text;
alter table agent add column expires_at bigint;
alter table agent add column agent_suspension_epoch bigint;
