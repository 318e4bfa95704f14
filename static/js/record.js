// The record: once the pop-up `Invite sent` was read, a reload shows the record and not the pop-up again.
const sent = document.querySelector("dialog[data-invite-sent]");
if (sent) {
  sent.addEventListener("close", () => {
    if (sent.open) return;
    const url = new URL(location.href);
    url.searchParams.delete("sent");
    history.replaceState(null, "", url);
  });
}
