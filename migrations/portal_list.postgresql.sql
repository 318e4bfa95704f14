-- PostgreSQL: the derived tables of Manage Client Portals (models/portal_list.py), kept in step by triggers.
-- They run at the end of the transaction, so that they wait for nobody while locks of the work itself are still to come;
-- whoever comes second at a client waits there and then reads what the first has committed.

CREATE OR REPLACE FUNCTION portal_refresh(at_client text, at_mailbox text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM portal_client WHERE client_id = at_client FOR UPDATE;
  INSERT INTO portal_person (id, client_id, mailbox, firm_id, email, email_display, name, contacts, client_name_key, access_id, invite_id, stage, part, since, expires_at, last_login_at, search_text)
  SELECT replace(gen_random_uuid()::text, '-', ''), at_client, at_mailbox, x.firm_id, x.email, x.email_display, x.name, x.contacts,
    x.client_name_key, x.access_id, x.invite_id, x.stage,
    CASE
      WHEN x.stage IN ('suspended', 'joined', 'logged_in') THEN 'inside'
      WHEN x.stage IN ('bounced', 'mail_failed', 'invited') THEN 'open'
      WHEN x.stage IN ('declined', 'removed', 'revoked') THEN 'over'
      ELSE 'none'
    END,
    x.since, x.expires_at, x.last_login_at, x.search_text
  FROM (
    SELECT k.firm_id, s.email, s.contacts, k.name_key AS client_name_key, a.id AS access_id, i.id AS invite_id,
    coalesce((SELECT max(o.email_display) FROM contact o WHERE o.client_id = at_client AND coalesce(o.email, 'contact:' || o.id) = at_mailbox), i.email_display, s.email) AS email_display,
    coalesce((SELECT string_agg(o.name, ', ' ORDER BY o.is_primary DESC, o.id) FROM contact o WHERE o.client_id = at_client AND coalesce(o.email, 'contact:' || o.id) = at_mailbox AND o.name <> ''), i.name, '') AS name,
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
    coalesce(i.created_at, a.accepted_at, (SELECT min(o.created_at) FROM contact o WHERE o.client_id = at_client AND coalesce(o.email, 'contact:' || o.id) = at_mailbox)) AS since,
    CASE WHEN i.state = 'pending' THEN i.expires_at END AS expires_at,
    CASE WHEN a.state <> 'removed' THEN a.last_login_at END AS last_login_at,
    translate(coalesce((SELECT string_agg(o.name_key, ' ') FROM contact o WHERE o.client_id = at_client AND coalesce(o.email, 'contact:' || o.id) = at_mailbox), '') || ' ' || coalesce(s.email, '') || ' ' || k.name_key, '@.-_,;:/()&+''"’', '               ') AS search_text
    FROM client k
    JOIN (SELECT CASE WHEN at_mailbox LIKE 'contact:%' THEN NULL ELSE at_mailbox END AS email,
      (SELECT count(*) FROM contact o WHERE o.client_id = at_client AND coalesce(o.email, 'contact:' || o.id) = at_mailbox) AS contacts) s ON true
    LEFT JOIN invite i ON i.id = (SELECT n.id FROM invite n WHERE n.client_id = at_client AND n.email = at_mailbox
      ORDER BY n.created_at DESC, n.id DESC LIMIT 1)
    LEFT JOIN portal_access a ON a.id = (SELECT n.id FROM portal_access n WHERE n.client_id = at_client
      AND n.email = at_mailbox ORDER BY n.changed_at DESC, n.id DESC LIMIT 1)
    LEFT JOIN outbox m ON m.id = (SELECT max(n.id) FROM outbox n WHERE n.invite_id = i.id AND (n.kind = 'invite'
      OR (n.kind IN ('reminder', 'expiry_warning') AND n.state <> 'cancelled')))
    WHERE k.id = at_client AND (s.contacts > 0 OR i.id IS NOT NULL OR a.id IS NOT NULL)
  ) x
  WHERE true
  ON CONFLICT (client_id, mailbox) DO UPDATE SET
    firm_id = excluded.firm_id, email = excluded.email, email_display = excluded.email_display, name = excluded.name, contacts = excluded.contacts, client_name_key = excluded.client_name_key, access_id = excluded.access_id, invite_id = excluded.invite_id, stage = excluded.stage, part = excluded.part, since = excluded.since, expires_at = excluded.expires_at, last_login_at = excluded.last_login_at, search_text = excluded.search_text;
  DELETE FROM portal_person WHERE client_id = at_client AND mailbox = at_mailbox
    AND NOT EXISTS (SELECT 1 FROM contact o WHERE o.client_id = at_client AND coalesce(o.email, 'contact:' || o.id) = at_mailbox)
    AND NOT EXISTS (SELECT 1 FROM invite n WHERE n.client_id = at_client AND n.email = at_mailbox)
    AND NOT EXISTS (SELECT 1 FROM portal_access n WHERE n.client_id = at_client AND n.email = at_mailbox);
  UPDATE portal_client SET
    name_key = (SELECT k.name_key FROM client k WHERE k.id = at_client),
    has_portal = EXISTS (SELECT 1 FROM portal_person p WHERE p.client_id = at_client AND p.part IN ('inside', 'open')),
    has_email = EXISTS (SELECT 1 FROM contact o WHERE o.client_id = at_client AND o.email IS NOT NULL),
    search_text = (SELECT translate(k.name_key || ' ' || coalesce((SELECT string_agg(o.name_key || ' ' || coalesce(o.email, ''), ' ') FROM contact o WHERE o.client_id = k.id), ''), '@.-_,;:/()&+''"’', '               ') FROM client k WHERE k.id = at_client)
  WHERE client_id = at_client;
END $$
--;
CREATE OR REPLACE FUNCTION portal_client_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO portal_client (client_id, firm_id, name_key, has_portal, has_email, search_text)
    VALUES (NEW.id, NEW.firm_id, NEW.name_key, false, false, '');
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_client_added AFTER INSERT ON client
  FOR EACH ROW EXECUTE FUNCTION portal_client_added()
--;
CREATE OR REPLACE FUNCTION portal_client_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_refresh(NEW.id, p.mailbox) FROM portal_person p WHERE p.client_id = NEW.id;
  PERFORM portal_refresh(NEW.id, '');
  RETURN NULL;
END $$
--;
CREATE CONSTRAINT TRIGGER portal_client_named AFTER INSERT OR UPDATE OF name_key ON client DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION portal_client_due()
--;
CREATE OR REPLACE FUNCTION portal_client_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM portal_person WHERE client_id = OLD.id;
  DELETE FROM portal_client WHERE client_id = OLD.id;
  RETURN OLD;
END $$
--;
CREATE TRIGGER portal_client_gone BEFORE DELETE ON client FOR EACH ROW EXECUTE FUNCTION portal_client_gone()
--;
CREATE OR REPLACE FUNCTION portal_contact_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM portal_refresh(OLD.client_id, coalesce(OLD.email, 'contact:' || OLD.id));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM portal_refresh(NEW.client_id, coalesce(NEW.email, 'contact:' || NEW.id));
  END IF;
  RETURN NULL;
END $$
--;
CREATE CONSTRAINT TRIGGER portal_contact_changed AFTER INSERT OR DELETE OR UPDATE OF name, name_key, email, email_display, is_primary, client_id ON contact DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION portal_contact_due()
--;
CREATE OR REPLACE FUNCTION portal_row_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_refresh(NEW.client_id, NEW.email);
  RETURN NULL;
END $$
--;
CREATE CONSTRAINT TRIGGER portal_invite_changed AFTER INSERT OR UPDATE OF state, expires_at, created_at, name ON invite DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION portal_row_due()
--;
CREATE CONSTRAINT TRIGGER portal_access_changed AFTER INSERT OR UPDATE OF state, last_login_at, changed_at ON portal_access DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION portal_row_due()
--;
CREATE OR REPLACE FUNCTION portal_mail_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_refresh(n.client_id, n.email) FROM invite n WHERE n.id = NEW.invite_id;
  RETURN NULL;
END $$
--;
CREATE OR REPLACE FUNCTION portal_mail_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM portal_refresh(n.client_id, n.email) FROM invite n WHERE n.id = NEW.invite_id
    AND (NEW.state IN ('bounced', 'failed') OR EXISTS (SELECT 1 FROM portal_person p
      WHERE p.invite_id = NEW.invite_id AND p.stage IN ('bounced', 'mail_failed')));
  RETURN NULL;
END $$
--;
CREATE CONSTRAINT TRIGGER portal_mail_added AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.invite_id IS NOT NULL) EXECUTE FUNCTION portal_mail_added()
--;
CREATE CONSTRAINT TRIGGER portal_mail_changed AFTER UPDATE OF state ON outbox DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.invite_id IS NOT NULL AND NEW.state <> OLD.state
    AND (NEW.state IN ('bounced', 'failed') OR OLD.state IN ('bounced', 'failed'))) EXECUTE FUNCTION portal_mail_due()
--;
CREATE OR REPLACE FUNCTION portal_person_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM search_word WHERE owner_id = OLD.id;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'p', left(w, 40), NEW.id
    FROM unnest(string_to_array(NEW.search_text, ' ')) w WHERE w <> '';
  END IF;
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_person_words AFTER INSERT OR DELETE ON portal_person
  FOR EACH ROW EXECUTE FUNCTION portal_person_words()
--;
CREATE TRIGGER portal_person_reworded AFTER UPDATE OF search_text ON portal_person
  FOR EACH ROW WHEN (NEW.search_text <> OLD.search_text) EXECUTE FUNCTION portal_person_words()
--;
CREATE OR REPLACE FUNCTION portal_client_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM search_word WHERE owner_id = OLD.client_id;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'c', left(w, 40), NEW.client_id
    FROM unnest(string_to_array(NEW.search_text, ' ')) w WHERE w <> '';
  END IF;
  RETURN NULL;
END $$
--;
CREATE TRIGGER portal_client_words AFTER INSERT OR DELETE ON portal_client
  FOR EACH ROW EXECUTE FUNCTION portal_client_words()
--;
CREATE TRIGGER portal_client_reworded AFTER UPDATE OF search_text ON portal_client
  FOR EACH ROW WHEN (NEW.search_text <> OLD.search_text) EXECUTE FUNCTION portal_client_words()
