// Standard Webhooks 1.0: the HMAC-SHA-256 of "id.timestamp.body", and a time that is near.
const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures } = msg.req.headers;
const secret = Buffer.from(env.get("SECRET").replace("whsec_", ""), "base64");
const mac = crypto.createHmac("sha256", secret).update(`${id}.${at}.`).update(msg.payload).digest();
const isMac = (given) => given.length === mac.length && crypto.timingSafeEqual(given, mac);
const isSigned = (signatures || "")
    .split(" ")
    .filter((one) => one.startsWith("v1,"))
    .some((one) => isMac(Buffer.from(one.slice(3), "base64")));
if (secret.length < 24 || !isSigned || !(Math.abs(Date.now() / 1000 - Number(at)) < 300)) {
    return [{ ...msg, statusCode: 401, payload: { message: "not signed by Triaged" } }, null];
}
// One key, one run: whatever is sent again gets the answer of the first time. No key comes again after a week.
// The key is the id, which is signed; the header Idempotency-Key is not.
const KEPT_MS = 7 * 24 * 3600 * 1000;
const runs = flow.get("runs") || {};
const key = id;
const isNew = !Object.hasOwn(runs, key);
if (isNew) {
    for (const old of Object.values(runs)) {
        if (Date.now() - old.at > KEPT_MS) delete runs[old.key];
    }
    runs[key] = { id: msg._msgid, key, at: Date.now(), status: "running" };
    flow.set("runs", runs);
}
const answer = { ...msg, statusCode: isNew ? 202 : 200, payload: { id: runs[key].id } };
return [answer, isNew ? { key, payload: JSON.parse(msg.payload.toString()) } : null];
