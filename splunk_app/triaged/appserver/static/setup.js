/* The set-up page: URL, deployment and CA file go into triaged.conf, tokens into the credential store.
   Splunk Web's own proxy is called with fetch, since newer versions no longer carry splunkjs. */
(function () {
  "use strict";

  const APP = "triaged";
  const STANZA = { url: "triaged-url", deployment: "triaged-deployment", ca_file: "triaged-ca" };
  const TOKENS = { search: "triaged-search", inlet: "triaged-inlet" };

  function field(id) {
    return document.getElementById(id);
  }

  function address(path) {
    const root = window.location.pathname.split("/app/")[0];
    return root + "/splunkd/__raw/servicesNS/nobody/" + APP + path + "?output_mode=json";
  }

  function formKey() {
    const port = window.location.port || (window.location.protocol === "https:" ? "443" : "80");
    const cookies = document.cookie.split("; ").filter((cookie) => cookie.startsWith("splunkweb_csrf_token_"));
    const own = cookies.find((cookie) => cookie.startsWith("splunkweb_csrf_token_" + port + "=")) || cookies[0] || "=";
    return decodeURIComponent(own.slice(own.indexOf("=") + 1));
  }

  async function call(method, path, values) {
    const response = await fetch(address(path), {
      method: method,
      credentials: "same-origin",
      headers: { "X-Splunk-Form-Key": formKey(), "X-Requested-With": "XMLHttpRequest" },
      body: values ? new URLSearchParams(values) : undefined,
    });
    if (response.ok) {
      return response.json();
    }
    const told = await response.json().catch(() => ({}));
    const text = told.messages && told.messages.length ? told.messages[0].text : response.statusText;
    const error = new Error(text || "HTTP " + response.status);
    error.status = response.status;
    throw error;
  }

  async function load() {
    const answer = await call("GET", "/configs/conf-triaged/daemon");
    const content = answer.entry[0].content;
    Object.keys(STANZA).forEach((key) => {
      field(STANZA[key]).value = content[key] || "";
    });
  }

  async function keep(name, secret) {
    const entry = "/storage/passwords/" + encodeURIComponent(APP + ":" + name + ":");
    try {
      await call("POST", entry, { password: secret });
    } catch (error) {
      if (error.status !== 404) {
        throw error;
      }
      await call("POST", "/storage/passwords", { realm: APP, name: name, password: secret });
    }
  }

  async function save() {
    const values = {};
    Object.keys(STANZA).forEach((key) => {
      values[key] = field(STANZA[key]).value.trim();
    });
    if (!/^(https:\/\/[^\s/]+|unix:\/\S+)/.test(values.url)) {
      throw new Error("the URL must begin with https:// or unix:/");
    }
    await call("POST", "/configs/conf-triaged/daemon", values);
    for (const name of Object.keys(TOKENS)) {
      const secret = field(TOKENS[name]).value;
      if (secret) {
        await keep(name, secret);
        field(TOKENS[name]).value = "";
      }
    }
    await call("POST", "/configs/conf-app/install", { is_configured: "true" });
  }

  function tell(text) {
    field("triaged-told").textContent = text;
  }

  function ready() {
    if (!field("triaged-save")) {
      window.setTimeout(ready, 100);
      return;
    }
    field("triaged-save").addEventListener("click", function () {
      tell("Saving …");
      save().then(
        () => tell("Saved. Run `| triagestatus` to see whether the daemon answers."),
        (error) => tell("Not saved: " + error.message)
      );
    });
    load().catch((error) => tell("What is stored cannot be read: " + error.message));
  }

  ready();
})();
