// One run by its key, or all.
const runs = flow.get("runs") || {};
const key = msg.req.params.key;
const found = key === undefined ? Object.values(runs) : Object.hasOwn(runs, key) ? runs[key] : undefined;
if (msg.req.headers["x-api-key"] !== env.get("API_KEY")) {
    return { ...msg, statusCode: 401, payload: { message: "who asks?" } };
}
return { ...msg, statusCode: found === undefined ? 404 : 200, payload: found ?? { message: "no such run" } };
