-- SQLite: the derived tables of Manage Client Portals (models/portal_list.py).
-- Triggers note which mailboxes a transaction touched; before its commit `INSERT INTO portal_settle` derives these, all at
-- once. SQLite has no procedures: that view's trigger is the procedure.

CREATE TABLE portal_due (
  client_id VARCHAR(26) NOT NULL,
  mailbox VARCHAR(320) NOT NULL,  -- '' where only the client itself changed
  PRIMARY KEY (client_id, mailbox)
) WITHOUT ROWID
--;
CREATE VIEW portal_settle AS SELECT 1 AS now
--;
CREATE TRIGGER portal_settle INSTEAD OF INSERT ON portal_settle WHEN EXISTS (SELECT 1 FROM portal_due) BEGIN
  -- What is derived anew is first taken out of the totals.
  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT p.firm_id, p.stage, 0, -count(*) FROM portal_due d CROSS JOIN portal_person p
    WHERE p.client_id = d.client_id AND p.mailbox = d.mailbox GROUP BY p.firm_id, p.stage
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = number + excluded.number;
  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT c.firm_id, CASE WHEN c.has_email THEN 'without' ELSE 'without_email' END, 0, -count(*) FROM portal_client c
    WHERE c.client_id IN (SELECT client_id FROM portal_due) AND NOT c.has_portal GROUP BY 1, 2
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = number + excluded.number;

  -- The key begins with the time, so that rows made together lie together, in this table and among the words.
  INSERT INTO portal_person (id, client_id, mailbox, firm_id, email, email_display, name, contacts, client_name_key,
    access_id, invite_id, stage, part, since, expires_at, last_login_at, access_ends_at, search_text)
  SELECT printf('%012x', (julianday('now') - 2440587.5) * 86400000) || lower(hex(randomblob(10))), x.client_id, x.mailbox, x.firm_id, x.email, x.email_display, x.name, x.contacts,
    x.client_name_key, x.access_id, x.invite_id, x.stage,
    CASE
      WHEN x.stage IN ('suspended', 'joined', 'logged_in') THEN 'inside'
      WHEN x.stage IN ('bounced', 'mail_failed', 'invited') THEN 'open'
      WHEN x.stage IN ('declined', 'removed', 'revoked') THEN 'over'
      ELSE 'none'
    END,
    x.since, x.expires_at, x.last_login_at, x.access_ends_at, x.search_text
  FROM (
    SELECT s.client_id, s.mailbox, k.firm_id, s.email, coalesce(s.email_display, i.email_display, s.email) AS email_display,
    coalesce(s.names, i.name, '') AS name, s.contacts, k.name_key AS client_name_key, a.id AS access_id, i.id AS invite_id,
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
    coalesce(i.created_at, a.accepted_at, s.created_at, k.created_at) AS since,
    CASE WHEN i.state = 'pending' THEN i.expires_at END AS expires_at,
    CASE WHEN a.state <> 'removed' THEN a.last_login_at END AS last_login_at,
    CASE WHEN a.state = 'active' THEN a.ends_at END AS access_ends_at,
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(coalesce(s.name_keys, '') || ' ' || coalesce(s.email, '') || ' ' || k.name_key, '@', ' '), '.', ' '), '-', ' '), '_', ' '), ',', ' '), ';', ' '), ':', ' '), '/', ' '), '(', ' '), ')', ' '), '&', ' '), '+', ' '), '''', ' '), '"', ' '), '’', ' ') AS search_text
    FROM (
      SELECT o.client_id, o.mailbox, CASE WHEN o.mailbox NOT LIKE 'contact:%' THEN o.mailbox END AS email,
        count(o.id) AS contacts, max(o.email_display) AS email_display, min(o.created_at) AS created_at,
        group_concat(nullif(o.name, ''), ', ') AS names, group_concat(o.name_key, ' ') AS name_keys
      FROM (
        SELECT d.client_id, d.mailbox, c.id, c.email_display, c.created_at, c.name, c.name_key, c.is_primary
        FROM portal_due d LEFT JOIN contact c ON c.client_id = d.client_id AND c.email = d.mailbox
        WHERE d.mailbox <> '' AND d.mailbox NOT LIKE 'contact:%'
        UNION ALL
        SELECT d.client_id, d.mailbox, c.id, NULL, c.created_at, c.name, c.name_key, c.is_primary
        FROM portal_due d LEFT JOIN contact c ON c.id = substr(d.mailbox, 9) AND c.client_id = d.client_id AND c.email IS NULL
        WHERE d.mailbox LIKE 'contact:%'
        ORDER BY 1, 2, 8 DESC, 3
      ) o GROUP BY o.client_id, o.mailbox
    ) s
    CROSS JOIN client k ON k.id = s.client_id
    LEFT JOIN invite i ON i.id = (SELECT n.id FROM invite n WHERE n.client_id = s.client_id AND n.email = s.mailbox
      ORDER BY n.created_at DESC, n.id DESC LIMIT 1)
    LEFT JOIN portal_access a ON a.id = (SELECT n.id FROM portal_access n WHERE n.client_id = s.client_id
      AND n.email = s.mailbox ORDER BY n.changed_at DESC, n.id DESC LIMIT 1)
    LEFT JOIN outbox m ON m.id = (SELECT max(n.id) FROM outbox n WHERE n.invite_id = i.id AND (n.kind = 'invite'
      OR (n.kind IN ('reminder', 'expiry_warning') AND n.state <> 'cancelled')))
  ) x
  WHERE 1
  ON CONFLICT (client_id, mailbox) DO UPDATE SET
    firm_id = excluded.firm_id, email = excluded.email, email_display = excluded.email_display, name = excluded.name, contacts = excluded.contacts, client_name_key = excluded.client_name_key, access_id = excluded.access_id, invite_id = excluded.invite_id, stage = excluded.stage, part = excluded.part, since = excluded.since, expires_at = excluded.expires_at, last_login_at = excluded.last_login_at, access_ends_at = excluded.access_ends_at, search_text = excluded.search_text;
  DELETE FROM portal_person WHERE id IN (
    SELECT p.id FROM portal_due d CROSS JOIN portal_person p WHERE p.client_id = d.client_id AND p.mailbox = d.mailbox
    AND p.contacts = 0 AND p.invite_id IS NULL AND p.access_id IS NULL);

  INSERT INTO portal_client (client_id, firm_id, name_key, has_portal, has_email)
    SELECT k.id, k.firm_id, k.name_key,
      EXISTS (SELECT 1 FROM portal_person p WHERE p.client_id = k.id AND p.part IN ('inside', 'open')),
      EXISTS (SELECT 1 FROM contact o WHERE o.client_id = k.id AND o.email IS NOT NULL)
    FROM client k WHERE k.id IN (SELECT client_id FROM portal_due)
    ON CONFLICT (client_id) DO UPDATE SET
      name_key = excluded.name_key, has_portal = excluded.has_portal, has_email = excluded.has_email;
  -- Clients are found by their words in the tab of those without a portal only, so only these have words.
  DELETE FROM search_word WHERE owner_id IN (SELECT client_id FROM portal_due);
  INSERT INTO search_word (firm_id, kind, word, owner_id)
    SELECT DISTINCT t.firm_id, 'c', substr(j.value, 1, 40), t.client_id
    FROM (
      SELECT c.firm_id, c.client_id, replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(c.name_key, '@', ' '), '.', ' '), '-', ' '), '_', ' '), ',', ' '), ';', ' '), ':', ' '), '/', ' '), '(', ' '), ')', ' '), '&', ' '), '+', ' '), '''', ' '), '"', ' '), '’', ' ') AS search_text
      FROM portal_client c WHERE NOT c.has_portal AND c.client_id IN (SELECT client_id FROM portal_due)
      UNION ALL
      SELECT c.firm_id, c.client_id, p.search_text
      FROM portal_client c JOIN portal_person p ON p.client_id = c.client_id AND p.contacts > 0
      WHERE NOT c.has_portal AND c.client_id IN (SELECT client_id FROM portal_due)
    ) t, json_each('[' || replace(json_quote(t.search_text), ' ', '","') || ']') j WHERE j.value <> '';

  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT p.firm_id, p.stage, 0, count(*) FROM portal_due d CROSS JOIN portal_person p
    WHERE p.client_id = d.client_id AND p.mailbox = d.mailbox GROUP BY p.firm_id, p.stage
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = number + excluded.number;
  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT c.firm_id, CASE WHEN c.has_email THEN 'without' ELSE 'without_email' END, 0, count(*) FROM portal_client c
    WHERE c.client_id IN (SELECT client_id FROM portal_due) AND NOT c.has_portal GROUP BY 1, 2
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = number + excluded.number;
  DELETE FROM portal_due;
END
--;
CREATE TRIGGER portal_client_added AFTER INSERT ON client BEGIN
  INSERT INTO portal_due VALUES (NEW.id, '') ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_client_renamed AFTER UPDATE OF name_key ON client WHEN NEW.name_key <> OLD.name_key BEGIN
  INSERT INTO portal_due SELECT NEW.id, p.mailbox FROM portal_person p WHERE p.client_id = NEW.id ON CONFLICT DO NOTHING;
  INSERT INTO portal_due VALUES (NEW.id, '') ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_client_gone BEFORE DELETE ON client BEGIN
  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT p.firm_id, p.stage, 0, -count(*) FROM portal_person p WHERE p.client_id = OLD.id GROUP BY p.firm_id, p.stage
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = number + excluded.number;
  INSERT INTO portal_tally (firm_id, what, slot, number)
    SELECT c.firm_id, CASE WHEN c.has_email THEN 'without' ELSE 'without_email' END, 0, -1 FROM portal_client c
    WHERE c.client_id = OLD.id AND NOT c.has_portal
    ON CONFLICT (firm_id, what, slot) DO UPDATE SET number = number + excluded.number;
  DELETE FROM portal_due WHERE client_id = OLD.id;
  DELETE FROM portal_person WHERE client_id = OLD.id;
  DELETE FROM portal_client WHERE client_id = OLD.id;
  DELETE FROM search_word WHERE owner_id = OLD.id;
END
--;
CREATE TRIGGER portal_contact_added AFTER INSERT ON contact BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, coalesce(NEW.email, 'contact:' || NEW.id)) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_contact_changed AFTER UPDATE OF name, name_key, email, email_display, is_primary, client_id ON contact BEGIN
  INSERT INTO portal_due VALUES (OLD.client_id, coalesce(OLD.email, 'contact:' || OLD.id)) ON CONFLICT DO NOTHING;
  INSERT INTO portal_due VALUES (NEW.client_id, coalesce(NEW.email, 'contact:' || NEW.id)) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_contact_gone AFTER DELETE ON contact BEGIN
  INSERT INTO portal_due VALUES (OLD.client_id, coalesce(OLD.email, 'contact:' || OLD.id)) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_invite_added AFTER INSERT ON invite BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_invite_changed AFTER UPDATE OF state, expires_at, created_at, name ON invite BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_access_added AFTER INSERT ON portal_access BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_access_changed AFTER UPDATE OF state, last_login_at, ends_at, changed_at ON portal_access BEGIN
  INSERT INTO portal_due VALUES (NEW.client_id, NEW.email) ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_mail_added AFTER INSERT ON outbox WHEN NEW.invite_id IS NOT NULL AND (NEW.state IN ('bounced', 'failed')
  OR EXISTS (SELECT 1 FROM portal_person p WHERE p.invite_id = NEW.invite_id AND p.stage IN ('bounced', 'mail_failed'))) BEGIN
  INSERT INTO portal_due SELECT n.client_id, n.email FROM invite n WHERE n.id = NEW.invite_id ON CONFLICT DO NOTHING;
END
--;
CREATE TRIGGER portal_mail_changed AFTER UPDATE OF state ON outbox WHEN NEW.invite_id IS NOT NULL AND NEW.state <> OLD.state
  AND (NEW.state IN ('bounced', 'failed') OR OLD.state IN ('bounced', 'failed')) BEGIN
  INSERT INTO portal_due SELECT n.client_id, n.email FROM invite n WHERE n.id = NEW.invite_id ON CONFLICT DO NOTHING;
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
