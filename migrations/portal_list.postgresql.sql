-- PostgreSQL: the derived tables of Manage Client Portals (models/portal_list.py).
-- Triggers note which mailboxes a transaction touched, in a table of the session's own; at the commit these are derived, all
-- at once. At its end, so that nobody waits here while locks of the work itself are still to come; and whoever comes second
-- at a client waits, and then reads what the first has committed.

CREATE OR REPLACE FUNCTION portal_note(at_client text, at_mailbox text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF to_regclass('pg_temp.portal_due') IS NULL THEN
    -- A temporary table, since one that all share would fill with the remains of every transaction.
    CREATE TEMPORARY TABLE portal_due (client_id text NOT NULL, mailbox text NOT NULL, is_first boolean NOT NULL)
      ON COMMIT DELETE ROWS;
    CREATE CONSTRAINT TRIGGER portal_settle AFTER INSERT ON pg_temp.portal_due DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION portal_settle();
  END IF;
  -- The first row calls for all: a call for each would look for what is left among all that were done.
  INSERT INTO pg_temp.portal_due VALUES (at_client, at_mailbox, NOT EXISTS (SELECT 1 FROM pg_temp.portal_due));
END $$
--;
CREATE OR REPLACE FUNCTION portal_tally_due(sign integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Slots, so that those who commit at the same moment seldom wait for each other; always in the same order.
  INSERT INTO portal_tally (firm_id, what, slot, number)
  SELECT t.firm_id, t.what, pg_backend_pid() % 16, sign * sum(t.number) FROM (
    SELECT p.firm_id, p.stage AS what, count(*) AS number FROM portal_person p
    WHERE (p.client_id, p.mailbox) IN (SELECT d.client_id, d.mailbox FROM pg_temp.portal_due d) GROUP BY 1, 2
    UNION ALL
    SELECT c.firm_id, CASE WHEN c.has_email THEN 'without' ELSE 'without_email' END, count(*) FROM portal_client c
    WHERE c.client_id IN (SELECT d.client_id FROM pg_temp.portal_due d) AND NOT c.has_portal GROUP BY 1, 2
  ) t GROUP BY t.firm_id, t.what ORDER BY t.firm_id, t.what
  ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = portal_tally.number + excluded.number;
END $$
--;
-- The table of what is due has no statistics; a plan for many rows would read whole tables for a few.
CREATE OR REPLACE FUNCTION portal_settle() RETURNS trigger LANGUAGE plpgsql
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off AS $$
BEGIN
  PERFORM 1 FROM portal_client WHERE client_id IN (SELECT d.client_id FROM pg_temp.portal_due d) ORDER BY client_id FOR UPDATE;
  -- What is derived anew is first taken out of the totals.
  PERFORM portal_tally_due(-1);

  -- The key begins with the time, so that rows made together lie together, in this table and among the words.
  INSERT INTO portal_person (id, client_id, mailbox, firm_id, email, email_display, name, contacts, client_name_key,
    access_id, invite_id, stage, part, since, expires_at, last_login_at, access_ends_at, search_text)
  SELECT lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
      || left(replace(gen_random_uuid()::text, '-', ''), 20), x.client_id, x.mailbox, x.firm_id, x.email, x.email_display, x.name, x.contacts,
    x.client_name_key, x.access_id, x.invite_id, x.stage,
    CASE
      WHEN x.stage IN ('suspended', 'joined', 'logged_in') THEN 'inside'
      WHEN x.stage IN ('bounced', 'mail_failed', 'invited') THEN 'open'
      WHEN x.stage IN ('declined', 'removed', 'revoked') THEN 'over'
      ELSE 'none'
    END,
    x.since, x.expires_at, x.last_login_at, x.access_ends_at, x.search_text
  FROM (
    SELECT s.client_id, s.mailbox, k.firm_id, s.email, coalesce(o.email_display, i.email_display, s.email) AS email_display,
    coalesce(o.names, i.name, '') AS name, o.contacts, k.name_key AS client_name_key, a.id AS access_id, i.id AS invite_id,
    CASE
      WHEN s.email IS NULL THEN 'no_email'
      WHEN a.state = 'suspended' THEN 'suspended'
      WHEN a.state = 'active' AND a.last_login_at IS NULL THEN 'joined'
      WHEN a.state = 'active' THEN 'logged_in'
      WHEN i.state = 'pending' AND m.state = 'bounced' THEN 'bounced'
      WHEN i.state = 'pending' AND m.state = 'failed' THEN 'mail_failed'
      WHEN i.state = 'pending' THEN 'invited'
      WHEN i.state = 'declined' THEN 'declined'
      WHEN a.state = 'removed' THEN 'removed'
      WHEN i.state = 'revoked' THEN 'revoked'
      ELSE 'no_invite'
    END AS stage,
    coalesce(i.created_at, a.accepted_at, o.created_at, k.created_at) AS since,
    CASE WHEN i.state = 'pending' THEN i.expires_at END AS expires_at,
    CASE WHEN a.state <> 'removed' THEN a.last_login_at END AS last_login_at,
    CASE WHEN a.state = 'active' THEN a.ends_at END AS access_ends_at,
    translate(coalesce(o.name_keys, '') || ' ' || coalesce(s.email, '') || ' ' || k.name_key, '@.-_,;:/()&+''"’', '               ') AS search_text
    FROM (
      SELECT DISTINCT d.client_id, d.mailbox, CASE WHEN d.mailbox NOT LIKE 'contact:%' THEN d.mailbox END AS email
      FROM pg_temp.portal_due d WHERE d.mailbox <> ''
    ) s
    JOIN client k ON k.id = s.client_id
    CROSS JOIN LATERAL (
      SELECT count(*) AS contacts, max(c.email_display) AS email_display, min(c.created_at) AS created_at,
        string_agg(nullif(c.name, ''), ', ' ORDER BY c.is_primary DESC, c.id) AS names, string_agg(c.name_key, ' ') AS name_keys
      FROM (
        SELECT c.* FROM contact c WHERE c.client_id = s.client_id AND c.email = s.mailbox
        UNION ALL
        SELECT c.* FROM contact c WHERE s.email IS NULL AND c.id = substr(s.mailbox, 9) AND c.client_id = s.client_id AND c.email IS NULL
      ) c
    ) o
    LEFT JOIN LATERAL (SELECT n.* FROM invite n WHERE n.client_id = s.client_id AND n.email = s.mailbox
      ORDER BY n.created_at DESC, n.id DESC LIMIT 1) i ON true
    LEFT JOIN LATERAL (SELECT n.* FROM portal_access n WHERE n.client_id = s.client_id AND n.email = s.mailbox
      ORDER BY n.changed_at DESC, n.id DESC LIMIT 1) a ON true
    LEFT JOIN LATERAL (SELECT n.state FROM outbox n WHERE n.invite_id = i.id AND (n.kind = 'invite'
      OR (n.kind IN ('reminder', 'expiry_warning') AND n.state <> 'cancelled')) ORDER BY n.id DESC LIMIT 1) m ON true
  ) x
  ON CONFLICT (client_id, mailbox) DO UPDATE SET
    firm_id = excluded.firm_id, email = excluded.email, email_display = excluded.email_display, name = excluded.name, contacts = excluded.contacts, client_name_key = excluded.client_name_key, access_id = excluded.access_id, invite_id = excluded.invite_id, stage = excluded.stage, part = excluded.part, since = excluded.since, expires_at = excluded.expires_at, last_login_at = excluded.last_login_at, access_ends_at = excluded.access_ends_at, search_text = excluded.search_text;
  DELETE FROM portal_person WHERE id IN (
    SELECT p.id FROM pg_temp.portal_due d CROSS JOIN LATERAL (SELECT n.id FROM portal_person n
      WHERE n.client_id = d.client_id AND n.mailbox = d.mailbox AND n.contacts = 0 AND coalesce(n.invite_id, n.access_id) IS NULL
      OFFSET 0) p);

  INSERT INTO portal_client (client_id, firm_id, name_key, has_portal, has_email)
    SELECT k.id, k.firm_id, k.name_key,
      coalesce((SELECT true FROM portal_person p WHERE p.client_id = k.id AND p.part IN ('inside', 'open') LIMIT 1), false),
      coalesce((SELECT true FROM contact o WHERE o.client_id = k.id AND o.email IS NOT NULL LIMIT 1), false)
    FROM client k WHERE k.id IN (SELECT d.client_id FROM pg_temp.portal_due d)
    ON CONFLICT (client_id) DO UPDATE SET
      name_key = excluded.name_key, has_portal = excluded.has_portal, has_email = excluded.has_email;
  -- Clients are found by their words in the tab of those without a portal only, so only these have words.
  DELETE FROM search_word WHERE owner_id IN (SELECT d.client_id FROM pg_temp.portal_due d);
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT t.firm_id, 'c', left(w, 40), t.client_id
    FROM (
      SELECT c.firm_id, c.client_id, translate(c.name_key, '@.-_,;:/()&+''"’', '               ') AS search_text
      FROM portal_client c WHERE NOT c.has_portal AND c.client_id IN (SELECT d.client_id FROM pg_temp.portal_due d)
      UNION ALL
      SELECT c.firm_id, c.client_id, p.search_text
      FROM portal_client c JOIN portal_person p ON p.client_id = c.client_id AND p.contacts > 0
      WHERE NOT c.has_portal AND c.client_id IN (SELECT d.client_id FROM pg_temp.portal_due d)
    ) t, unnest(string_to_array(t.search_text, ' ')) w WHERE w <> '';

  PERFORM portal_tally_due(1);
  DELETE FROM pg_temp.portal_due;
  RETURN NULL;
END $$
--;
CREATE OR REPLACE FUNCTION portal_client_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_note(NEW.id, '');
  IF TG_OP = 'UPDATE' THEN
    PERFORM portal_note(NEW.id, p.mailbox) FROM portal_person p WHERE p.client_id = NEW.id;
  END IF;
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_client_added AFTER INSERT ON client FOR EACH ROW EXECUTE FUNCTION portal_client_due()
--;
CREATE TRIGGER portal_client_renamed AFTER UPDATE OF name_key ON client
  FOR EACH ROW WHEN (NEW.name_key <> OLD.name_key) EXECUTE FUNCTION portal_client_due()
--;
CREATE OR REPLACE FUNCTION portal_client_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT t.firm_id, t.what, pg_backend_pid() % 16, -count(*) FROM (
      SELECT p.firm_id, p.stage AS what FROM portal_person p WHERE p.client_id = OLD.id
      UNION ALL
      SELECT c.firm_id, CASE WHEN c.has_email THEN 'without' ELSE 'without_email' END FROM portal_client c
      WHERE c.client_id = OLD.id AND NOT c.has_portal
    ) t GROUP BY t.firm_id, t.what ORDER BY t.firm_id, t.what
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = portal_tally.number + excluded.number;
  DELETE FROM portal_person WHERE client_id = OLD.id;
  DELETE FROM portal_client WHERE client_id = OLD.id;
  DELETE FROM search_word WHERE owner_id = OLD.id;
  RETURN OLD;
END $$
--;
CREATE TRIGGER portal_client_gone BEFORE DELETE ON client FOR EACH ROW EXECUTE FUNCTION portal_client_gone()
--;
CREATE OR REPLACE FUNCTION portal_contact_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM portal_note(OLD.client_id, coalesce(OLD.email, 'contact:' || OLD.id));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM portal_note(NEW.client_id, coalesce(NEW.email, 'contact:' || NEW.id));
  END IF;
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_contact_changed AFTER INSERT OR DELETE OR UPDATE OF name, name_key, email, email_display, is_primary, client_id ON contact
  FOR EACH ROW EXECUTE FUNCTION portal_contact_due()
--;
CREATE OR REPLACE FUNCTION portal_row_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_note(NEW.client_id, NEW.email);
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_invite_changed AFTER INSERT OR UPDATE OF state, expires_at, created_at, name ON invite
  FOR EACH ROW EXECUTE FUNCTION portal_row_due()
--;
CREATE TRIGGER portal_access_changed AFTER INSERT OR UPDATE OF state, last_login_at, ends_at, changed_at ON portal_access
  FOR EACH ROW EXECUTE FUNCTION portal_row_due()
--;
CREATE OR REPLACE FUNCTION portal_mail_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_note(n.client_id, n.email) FROM invite n WHERE n.id = NEW.invite_id
    AND (TG_OP = 'UPDATE' OR NEW.state IN ('bounced', 'failed') OR EXISTS (SELECT 1 FROM portal_person p
      WHERE p.invite_id = NEW.invite_id AND p.stage IN ('bounced', 'mail_failed')));
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_mail_added AFTER INSERT ON outbox
  FOR EACH ROW WHEN (NEW.invite_id IS NOT NULL) EXECUTE FUNCTION portal_mail_due()
--;
CREATE TRIGGER portal_mail_changed AFTER UPDATE OF state ON outbox
  FOR EACH ROW WHEN (NEW.invite_id IS NOT NULL AND NEW.state <> OLD.state
    AND (NEW.state IN ('bounced', 'failed') OR OLD.state IN ('bounced', 'failed'))) EXECUTE FUNCTION portal_mail_due()
--;
-- Words of new rows: a thousand of these in one statement, as they come.
CREATE OR REPLACE FUNCTION portal_person_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT m.firm_id, 'p', left(w, 40), m.id
    FROM made m, unnest(string_to_array(m.search_text, ' ')) w WHERE w <> '';
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_person_words AFTER INSERT ON portal_person REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION portal_person_words()
--;
CREATE OR REPLACE FUNCTION portal_person_reworded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM search_word WHERE owner_id = OLD.id;
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'p', left(w, 40), NEW.id
    FROM unnest(string_to_array(NEW.search_text, ' ')) w WHERE w <> '';
  END IF;
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_person_reworded AFTER UPDATE OF search_text ON portal_person
  FOR EACH ROW WHEN (NEW.search_text <> OLD.search_text) EXECUTE FUNCTION portal_person_reworded()
--;
CREATE TRIGGER portal_person_unworded AFTER DELETE ON portal_person
  FOR EACH ROW EXECUTE FUNCTION portal_person_reworded()
