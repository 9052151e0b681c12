// The work is done: what came of it is kept where it is asked for.
const runs = flow.get("runs");
const { action, entity, result, verdict } = msg.payload;
Object.assign(runs[msg.key], {
    status: "success",
    times: (runs[msg.key].times ?? 0) + 1,
    playbook: action.playbook,
    host: entity.host,
    techniques: verdict.threat?.technique.id ?? [],
    result: `${action.playbook}: ${result}`,
});
flow.set("runs", runs);
