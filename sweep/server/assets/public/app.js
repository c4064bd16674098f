"use strict";

// Around htmx: pages that nobody looks at do not ask, and a page that cannot be refreshed says so.

const LIVE = "#studies, #live";

function lost(text) {
  document.getElementById("lost").textContent = text;
}

function told(status) {
  if (status === 401) return "You are logged out, so this page stands still. Open the login link, then reload it.";
  if (status === 404) return "This study is no longer here.";
  return "The service does not answer as it should; this page may be old.";
}

document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.target.matches(LIVE)) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  document.querySelectorAll(LIVE).forEach((part) => htmx.trigger(part, "refresh"));
});

document.addEventListener("htmx:after:request", (event) => {
  const { status } = event.detail.ctx.response;
  lost(status < 400 ? "" : told(status));
});
document.addEventListener("htmx:error", () => lost("The service cannot be reached; this page may be old."));
