// CPU per request of node and of PostgreSQL's backends, for db.query alone.
import fs from "node:fs";
import pg from "pg";
import { createDatabase } from "/work/main/src/kernel/db/pool.ts";
const base = process.argv[2] ?? "postgres://postgres@127.0.0.1:54915/postgres";
const N = Number(process.argv[3] ?? 30000);
const owner = new pg.Client(base); await owner.connect();
const app = process.argv[4] ?? (() => { const u = new URL(base); u.username="app"; u.password="app"; return u.href; })();
const tenants = Array.from({length:100},(_, i)=>({id:`00000000-0000-7000-8000-${String(i).padStart(12,"0")}`, isolation:"shared" as const}));
const text = `select id, number, customer, status, total_minor as "totalMinor", created_at as "createdAt", updated_at as "updatedAt" from purchase order by created_at desc, id desc limit 20`;
const database = createDatabase({appUrl: app, poolMax: 10, log: console});
const db = database.forService("cpubench");
const MODE=process.argv[5]??"ours"; const ptext=text.replace("from purchase","from cpubench.plain where tenant_id = $1"); const pool=new pg.Pool({connectionString:app,max:10});
const ticks = () => { let s=0; for (const {pid} of pids) { const f=fs.readFileSync(`/proc/${pid}/stat`,"utf8").split(") ")[1].split(" "); s+=Number(f[11])+Number(f[12]); } return s*10; };
let pids: {pid:number}[] = [];
async function go(n:number) { let left=n; await Promise.all(Array.from({length:32},async(_,w)=>{ let i=w; while(left-->0){ const r = MODE==="ours" ? await db.query(tenants[i%100]!, text) : MODE==="same" ? await db.query(tenants[i%100]!, ptext, [tenants[i%100]!.id]) : await pool.query({name: MODE==="named"?"list":undefined, text: ptext, values:[tenants[i%100]!.id]}); if(r.rows.length!==20) throw new Error("rows"); i+=7; } })); }
await go(2000);
pids=(await owner.query("select pid from pg_stat_activity where usename='app'")).rows;
for (let k=0;k<3;k++){
const c0=process.cpuUsage(), t0=performance.now(), p0=ticks();
await go(N);
const c=process.cpuUsage(c0), t=performance.now()-t0, p=ticks()-p0;
console.log(`${(N*1000/t).toFixed(0)}/s node user ${(c.user/N).toFixed(1)} sys ${(c.system/N).toFixed(1)} us/req; pg ${(p*1000/N).toFixed(1)} us/req`);
}
await pool.end(); await database.close(); await owner.end();
