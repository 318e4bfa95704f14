-- SQLite: the derived tables of Manage Client Portals (models/portal_list.py), kept in step by triggers.
-- SQLite has no procedures: a row put into portal_due is the call, its trigger the body.

CREATE TABLE portal_due (client_id VARCHAR(26) NOT NULL, mailbox VARCHAR(320) NOT NULL)
--;
CREATE TRIGGER portal_due_now AFTER INSERT ON portal_due BEGIN
  INSERT INTO portal_person (id, client_id, mailbox, firm_id, email, email_display, name, contacts, client_name_key, access_id, invite_id, stage, part, since, expires_at, last_login_at, search_text)
  SELECT lower(hex(randomblob(16))), NEW.client_id, NEW.mailbox, x.firm_id, x.email, x.email_display, x.name, x.contacts,
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
    coalesce((SELECT max(o.email_display) FROM contact o WHERE o.client_id = NEW.client_id AND coalesce(o.email, 'contact:' || o.id) = NEW.mailbox), i.email_display, s.email) AS email_display,
    coalesce((SELECT group_concat(o.name, ', ') FROM (SELECT name FROM contact o WHERE o.client_id = NEW.client_id AND coalesce(o.email, 'contact:' || o.id) = NEW.mailbox AND o.name <> '' ORDER BY o.is_primary DESC, o.id) o), i.name, '') AS name,
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
    coalesce(i.created_at, a.accepted_at, (SELECT min(o.created_at) FROM contact o WHERE o.client_id = NEW.client_id AND coalesce(o.email, 'contact:' || o.id) = NEW.mailbox)) AS since,
    CASE WHEN i.state = 'pending' THEN i.expires_at END AS expires_at,
    CASE WHEN a.state <> 'removed' THEN a.last_login_at END AS last_login_at,
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(coalesce((SELECT group_concat(o.name_key, ' ') FROM contact o WHERE o.client_id = NEW.client_id AND coalesce(o.email, 'contact:' || o.id) = NEW.mailbox), '') || ' ' || coalesce(s.email, '') || ' ' || k.name_key, '@', ' '), '.', ' '), '-', ' '), '_', ' '), ',', ' '), ';', ' '), ':', ' '), '/', ' '), '(', ' '), ')', ' '), '&', ' '), '+', ' '), '''', ' '), '"', ' '), '’', ' ') AS search_text
    FROM client k
    JOIN (SELECT CASE WHEN NEW.mailbox LIKE 'contact:%' THEN NULL ELSE NEW.mailbox END AS email,
      (SELECT count(*) FROM contact o WHERE o.client_id = NEW.client_id AND coalesce(o.email, 'contact:' || o.id) = NEW.mailbox) AS contacts) s ON 1
    LEFT JOIN invite i ON i.id = (SELECT n.id FROM invite n WHERE n.client_id = NEW.client_id AND n.email = NEW.mailbox
      ORDER BY n.created_at DESC, n.id DESC LIMIT 1)
    LEFT JOIN portal_access a ON a.id = (SELECT n.id FROM portal_access n WHERE n.client_id = NEW.client_id
      AND n.email = NEW.mailbox ORDER BY n.changed_at DESC, n.id DESC LIMIT 1)
    LEFT JOIN outbox m ON m.id = (SELECT max(n.id) FROM outbox n WHERE n.invite_id = i.id AND (n.kind = 'invite'
      OR (n.kind IN ('reminder', 'expiry_warning') AND n.state <> 'cancelled')))
    WHERE k.id = NEW.client_id AND (s.contacts > 0 OR i.id IS NOT NULL OR a.id IS NOT NULL)
  ) x
  WHERE 1
  ON CONFLICT (client_id, mailbox) DO UPDATE SET
    firm_id = excluded.firm_id, email = excluded.email, email_display = excluded.email_display, name = excluded.name, contacts = excluded.contacts, client_name_key = excluded.client_name_key, access_id = excluded.access_id, invite_id = excluded.invite_id, stage = excluded.stage, part = excluded.part, since = excluded.since, expires_at = excluded.expires_at, last_login_at = excluded.last_login_at, search_text = excluded.search_text;
  DELETE FROM portal_person WHERE client_id = NEW.client_id AND mailbox = NEW.mailbox
    AND NOT EXISTS (SELECT 1 FROM contact o WHERE o.client_id = NEW.client_id AND coalesce(o.email, 'contact:' || o.id) = NEW.mailbox)
    AND NOT EXISTS (SELECT 1 FROM invite n WHERE n.client_id = NEW.client_id AND n.email = NEW.mailbox)
    AND NOT EXISTS (SELECT 1 FROM portal_access n WHERE n.client_id = NEW.client_id AND n.email = NEW.mailbox);
  UPDATE portal_client SET
    name_key = (SELECT k.name_key FROM client k WHERE k.id = NEW.client_id),
    has_portal = EXISTS (SELECT 1 FROM portal_person p WHERE p.client_id = NEW.client_id AND p.part IN ('inside', 'open')),
    has_email = EXISTS (SELECT 1 FROM contact o WHERE o.client_id = NEW.client_id AND o.email IS NOT NULL),
    search_text = (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(k.name_key || ' ' || coalesce((SELECT group_concat(o.name_key || ' ' || coalesce(o.email, ''), ' ') FROM contact o WHERE o.client_id = k.id), ''), '@', ' '), '.', ' '), '-', ' '), '_', ' '), ',', ' '), ';', ' '), ':', ' '), '/', ' '), '(', ' '), ')', ' '), '&', ' '), '+', ' '), '''', ' '), '"', ' '), '’', ' ') FROM client k WHERE k.id = NEW.client_id)
  WHERE client_id = NEW.client_id;
  DELETE FROM portal_due WHERE client_id = NEW.client_id AND mailbox = NEW.mailbox;
END
--;
CREATE TRIGGER portal_client_added AFTER INSERT ON client BEGIN
  INSERT INTO portal_client (client_id, firm_id, name_key, has_portal, has_email, search_text)
    VALUES (NEW.id, NEW.firm_id, NEW.name_key, 0, 0, '');
  INSERT INTO portal_due VALUES (NEW.id, '');
END
--;
CREATE TRIGGER portal_client_renamed AFTER UPDATE OF name_key ON client WHEN NEW.name_key <> OLD.name_key BEGIN
  INSERT INTO portal_due SELECT NEW.id, p.mailbox FROM portal_person p WHERE p.client_id = NEW.id;
  INSERT INTO portal_due VALUES (NEW.id, '');
END
--;
CREATE TRIGGER portal_client_gone BEFORE DELETE ON client BEGIN
  DELETE FROM portal_person WHERE client_id = OLD.id;
  DELETE FROM portal_client WHERE client_id = OLD.id;
END
--;
CREATE TRIGGER portal_contact_added AFTER INSERT ON contact BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, coalesce(NEW.email, 'contact:' || NEW.id));
END
--;
CREATE TRIGGER portal_contact_changed AFTER UPDATE OF name, name_key, email, email_display, is_primary, client_id ON contact BEGIN
  INSERT INTO portal_due VALUES (OLD.client_id, coalesce(OLD.email, 'contact:' || OLD.id));
  INSERT INTO portal_due VALUES (NEW.client_id, coalesce(NEW.email, 'contact:' || NEW.id));
END
--;
CREATE TRIGGER portal_contact_gone AFTER DELETE ON contact BEGIN
  INSERT INTO portal_due VALUES (OLD.client_id, coalesce(OLD.email, 'contact:' || OLD.id));
END
--;
CREATE TRIGGER portal_invite_added AFTER INSERT ON invite BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email);
END
--;
CREATE TRIGGER portal_invite_changed AFTER UPDATE OF state, expires_at, created_at, name ON invite BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email);
END
--;
CREATE TRIGGER portal_portal_access_added AFTER INSERT ON portal_access BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email);
END
--;
CREATE TRIGGER portal_portal_access_changed AFTER UPDATE OF state, last_login_at, changed_at ON portal_access BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email);
END
--;
CREATE TRIGGER portal_mail_added AFTER INSERT ON outbox WHEN NEW.invite_id IS NOT NULL AND (NEW.state IN ('bounced', 'failed') OR EXISTS (SELECT 1 FROM portal_person p
  WHERE p.invite_id = NEW.invite_id AND p.stage IN ('bounced', 'mail_failed'))) BEGIN
  INSERT INTO portal_due SELECT n.client_id, n.email FROM invite n WHERE n.id = NEW.invite_id;
END
--;
CREATE TRIGGER portal_mail_changed AFTER UPDATE OF state ON outbox WHEN NEW.invite_id IS NOT NULL AND NEW.state <> OLD.state
  AND (NEW.state IN ('bounced', 'failed') OR OLD.state IN ('bounced', 'failed')) BEGIN
  INSERT INTO portal_due SELECT n.client_id, n.email FROM invite n WHERE n.id = NEW.invite_id;
END
--;
CREATE TRIGGER portal_person_words AFTER INSERT ON portal_person BEGIN
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'p', substr(j.value, 1, 40), NEW.id
    FROM json_each('[' || replace(json_quote(NEW.search_text), ' ', '","') || ']') j WHERE j.value <> '';
END
--;
CREATE TRIGGER portal_person_reworded AFTER UPDATE OF search_text ON portal_person WHEN NEW.search_text <> OLD.search_text BEGIN
  DELETE FROM search_word WHERE owner_id = OLD.id;
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'p', substr(j.value, 1, 40), NEW.id
    FROM json_each('[' || replace(json_quote(NEW.search_text), ' ', '","') || ']') j WHERE j.value <> '';
END
--;
CREATE TRIGGER portal_person_unworded AFTER DELETE ON portal_person BEGIN
  DELETE FROM search_word WHERE owner_id = OLD.id;
END
--;
CREATE TRIGGER portal_client_words AFTER INSERT ON portal_client BEGIN
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'c', substr(j.value, 1, 40), NEW.client_id
    FROM json_each('[' || replace(json_quote(NEW.search_text), ' ', '","') || ']') j WHERE j.value <> '';
END
--;
CREATE TRIGGER portal_client_reworded AFTER UPDATE OF search_text ON portal_client WHEN NEW.search_text <> OLD.search_text BEGIN
  DELETE FROM search_word WHERE owner_id = OLD.client_id;
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT NEW.firm_id, 'c', substr(j.value, 1, 40), NEW.client_id
    FROM json_each('[' || replace(json_quote(NEW.search_text), ' ', '","') || ']') j WHERE j.value <> '';
END
--;
CREATE TRIGGER portal_client_unworded AFTER DELETE ON portal_client BEGIN
  DELETE FROM search_word WHERE owner_id = OLD.client_id;
END
