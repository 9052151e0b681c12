/* A browser that is just enough for the set-up page: node browser.js SETUP_JS SCRIPT_JSON. It prints every request. */
"use strict";

const fs = require("fs");
const vm = require("vm");

const script = JSON.parse(process.argv[3]);
const fields = {};
const handlers = {};
const requests = [];

["url", "deployment", "ca", "search", "inlet", "save", "told"].forEach((name) => {
  const id = "triaged-" + name;
  fields[id] = { value: "", textContent: "", addEventListener: (kind, handler) => (handlers[id] = handler) };
});

function answer(method, address) {
  const found = script.answers.find((one) => one.method === method && address.includes(one.path));
  const [status, body] = found ? [found.status, found.body] : [200, { entry: [{ content: {} }] }];
  return { ok: status < 400, status: status, statusText: "", json: async () => body };
}

const context = {
  window: { location: { pathname: "/root/en-US/app/triaged/setup", port: "8000", protocol: "https:" }, setTimeout },
  document: { getElementById: (id) => fields[id] || null, cookie: script.cookie },
  URLSearchParams,
  encodeURIComponent,
  decodeURIComponent,
  fetch: async (address, options) => {
    const body = options.body ? Object.fromEntries(options.body) : null;
    requests.push({ method: options.method, address: address, headers: options.headers, body: body });
    return answer(options.method, address);
  },
};

async function settle() {
  for (let turn = 0; turn < 50; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

(async () => {
  vm.runInNewContext(fs.readFileSync(process.argv[2], "utf8"), context);
  await settle();
  const loaded = { url: fields["triaged-url"].value, deployment: fields["triaged-deployment"].value };
  Object.entries(script.typed).forEach(([name, value]) => (fields["triaged-" + name].value = value));
  handlers["triaged-save"]();
  await settle();
  const kept = fields["triaged-search"].value;
  console.log(JSON.stringify({ loaded, requests, kept, told: fields["triaged-told"].textContent }));
})();
