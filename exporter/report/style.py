"""The look of the page: one style sheet, light and dark, from 320 pixels wide to paper. A constant, and nothing in it from outside."""

STYLE = """
:root{color-scheme:light dark;
--paper:#fdfcfa;--raised:#f5f3ee;--ink:#1c1e21;--soft:#5b6067;--rule:#e2dfd8;--link:#1f55a5;
--good:#1c7748;--warn:#9a5300;--bad:#b3261e;
--c1:#2f66b5;--c1-soft:#d5e1f2;--c2:#c2571a;--c3:#8a8f98;--c4:#d9d5cb;
--e1:#b8322a;--e2:#d98a1f;--e3:#7a4fa3;--e4:#2e8a85;--e5:#8a6d3b;--e6:#c25b94;--e7:#8a8f98;--pause:#f0dcdc}
@media (prefers-color-scheme:dark){:root{
--paper:#141619;--raised:#1c1f23;--ink:#e9e8e4;--soft:#a3a8af;--rule:#30343a;--link:#8fb8f5;
--good:#67c796;--warn:#e3a74f;--bad:#f0867d;
--c1:#7aa7ea;--c1-soft:#24364f;--c2:#f0a06a;--c3:#8b919b;--c4:#454a52;
--e1:#ee7b72;--e2:#e8b35a;--e3:#b795dd;--e4:#5fbdb7;--e5:#c2a36b;--e6:#e79ac4;--e7:#8b919b;--pause:#452a2c}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
font-variant-numeric:tabular-nums lining-nums;overflow-wrap:break-word}
.page{max-width:76rem;margin:0 auto;padding:0 clamp(1rem,4vw,3rem)}
a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:.18em}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
.skip{position:absolute;left:-999rem}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem 1rem;z-index:1}
header{padding:clamp(2rem,6vw,4.5rem) 0 clamp(1.5rem,3vw,2.5rem)}
.verdict{display:flex;align-items:center;gap:.6rem;margin:0;font-weight:600;color:var(--soft)}
.dot{width:.7rem;height:.7rem;border-radius:50%;background:var(--good);flex:none}.dot.warn{background:var(--warn)}
h1{font-size:clamp(1.75rem,1.1rem + 3.2vw,3.25rem);line-height:1.12;letter-spacing:-.022em;font-weight:350;margin:.5rem 0 clamp(1.5rem,3vw,2.25rem);color:var(--soft);text-wrap:balance}
h1 strong{font-weight:650;color:var(--ink)}
h2{font-size:1.15rem;line-height:1.3;margin:0;font-weight:650;letter-spacing:-.008em}
h3{font-size:1rem;margin:0 0 .75rem;font-weight:600;display:flex;flex-wrap:wrap;gap:.35rem .6rem;align-items:baseline}
p{margin:.5rem 0;max-width:68ch}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.35rem;margin:0;padding:.8rem 0;border-top:1px solid var(--rule)}
nav a{text-decoration:none;color:var(--soft)}nav a:hover{color:var(--link);text-decoration:underline}
section{border-top:1px solid var(--rule);padding:clamp(1.75rem,4vw,2.75rem) 0;display:grid;grid-template-columns:minmax(0,1fr);gap:1.25rem 3rem}
.head p{color:var(--soft);font-size:.9rem;line-height:1.5;margin:.4rem 0 0}
@media (min-width:62rem){section{grid-template-columns:13.5rem minmax(0,1fr)}.head{position:sticky;top:1.5rem;align-self:start}}
.body{min-width:0}.body>:first-child{margin-top:0}.body>:last-child{margin-bottom:0}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,max-content));gap:1rem 2.25rem;margin:0 0 1.5rem}
td .code.value{min-width:8rem}:is(header,#settings) .figures{display:flex;flex-wrap:wrap;gap:1rem 2.5rem}.figures>div{min-width:0}
dt{font-size:.8rem;color:var(--soft);line-height:1.35}dd{margin:.1rem 0 0;font-weight:550;overflow-wrap:anywhere}
.sum{display:flex;flex-wrap:wrap;gap:.75rem 1.4rem;margin:0 0 1.25rem}
.term{display:grid;grid-template-columns:auto auto;column-gap:.9rem;align-items:baseline}
.term .sign{color:var(--soft);font-size:1.4rem;grid-row:1}
.term strong{font-size:clamp(1.3rem,1rem + 1.3vw,1.9rem);font-weight:600;letter-spacing:-.015em;line-height:1.2}
.term .what{color:var(--soft);font-size:.85rem;grid-column:-2;grid-row:2}
.term:first-child{grid-template-columns:auto}.term:first-child .sign{display:none}
@media (max-width:56rem){.sum{display:grid;grid-template-columns:auto auto 1fr;gap:.3rem .9rem;align-items:baseline}.sum .term{display:contents}.sum .term .sign{display:inline}.sum :is(.sign,strong,.what){grid-row:auto;grid-column:auto}.sum strong{text-align:end}}
.key{display:inline-flex;align-items:center;gap:.45rem}th .key{align-items:baseline}th .key .value{white-space:nowrap}
.swatch{flex:none;border-radius:2px;width:10px;height:10px}
.proportions{display:block;height:10px;border-radius:3px;background:var(--raised);overflow:hidden}
.bar{display:block;height:4px;margin-top:.3rem;background:var(--raised);border-radius:2px}
.bar rect,.fill{fill:var(--c1)}
.t1{fill:var(--c1)}.t2{fill:var(--c2)}.t3{fill:var(--c3)}.t4{fill:var(--c4)}
.e1{fill:var(--e1)}.e2{fill:var(--e2)}.e3{fill:var(--e3)}.e4{fill:var(--e4)}.e5{fill:var(--e5)}.e6{fill:var(--e6)}.e7{fill:var(--e7)}
figure{margin:0 0 1.5rem;min-width:0}
figcaption{display:flex;flex-wrap:wrap;gap:.25rem 1.4rem;font-size:.85rem;color:var(--soft);margin-top:.6rem}
svg.chart{display:block;overflow:visible;max-width:100%}figure:has(>.over-time){padding-left:3.25rem}
svg text{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums;paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round;unicode-bidi:isolate}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg .limit-label{fill:var(--ink)}
.grid{stroke:var(--rule);stroke-width:1}.base{stroke:var(--soft);stroke-width:1}
.limit{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:2 4;stroke-linecap:round}
.area{fill:var(--c1-soft)}.line{fill:none;stroke-width:1.5;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.line.ink{stroke:var(--c1)}.line.pace{stroke:var(--c2);stroke-width:2}.swatch .pace,.swatch .slow{fill:var(--c2);stroke:none}.swatch .pace{y:4px;height:2px}.swatch .slow{x:4px;width:2px}
.line.p50{stroke:var(--c1);stroke-width:2}.line.p95{stroke:var(--e4)}.line.p99{stroke:var(--e2)}
.swatch .p50{fill:var(--c1)}.swatch .p95{fill:var(--e4)}.swatch .p99{fill:var(--e2)}
.paused{fill:var(--pause)}.slow{stroke:var(--c2);stroke-width:2}.hint{fill:transparent}.hint:hover{fill:var(--ink);fill-opacity:.07}
svg .fill{stroke:var(--paper);stroke-width:1}
.scroll{overflow-x:auto;margin:0 0 1.25rem;-webkit-overflow-scrolling:touch;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.92rem;line-height:1.45}
caption{text-align:start;color:var(--soft);font-size:.8rem;padding:0 0 .4rem}
th,td{text-align:start;vertical-align:top;padding:.5rem 1.5rem .5rem 0;border-top:1px solid var(--rule);font-weight:400}
th:last-child,td:last-child{padding-right:0}
thead th{border-top:0;font-size:.8rem;color:var(--soft);vertical-align:bottom;padding-top:0;white-space:nowrap}
tbody th{font-weight:500}
.n{text-align:end;white-space:nowrap}.with-bar{display:inline-block;min-width:5.5rem}
.code{font-family:ui-monospace,"SF Mono",SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.9em}
.value{white-space:pre-wrap;overflow-wrap:anywhere;word-break:break-word}
bdi{unicode-bidi:isolate}
th a .value{min-width:8rem}td .value,th .value{display:inline-block;text-align:left;max-width:44rem}
.values td,.values th{padding-top:.35rem;padding-bottom:.35rem}
.tag{font-size:.75rem;font-weight:450;color:var(--soft);border:1px solid var(--rule);border-radius:1rem;padding:.02rem .5rem;margin-inline-start:.5rem;white-space:nowrap}
h3 .tag,summary .tag{margin-inline-start:0}th .tag{display:block;width:fit-content;margin:.3rem 0 0}
.empty,.more{color:var(--soft)}.more{font-size:.85rem}.bad{color:var(--bad);font-weight:600}
details{margin:0 0 1rem}summary{cursor:pointer;color:var(--link);padding:.2rem 0}summary:hover{text-decoration:underline;text-underline-offset:.18em}
details[open]>summary{margin-bottom:.75rem}
.body ul{margin:.5rem 0;padding-left:1.25rem}
.cards{columns:21rem;column-gap:1.25rem}.cards>.card{break-inside:avoid;margin-bottom:1.25rem}
.card{background:var(--raised);border-radius:8px;padding:1.1rem 1.25rem;min-width:0}
.card .figures{display:flex;flex-wrap:wrap;gap:.6rem 1.6rem;margin-bottom:.8rem}.card dd{font-size:.95rem}
.card svg text{stroke:var(--raised)}.card .fill{stroke:var(--raised)}.card .bar{background:var(--rule)}
.card .scroll,.card figure{margin-bottom:.75rem}.card>:last-child{margin-bottom:0}
.card :is(th,td):not(:last-child){padding-right:1rem}.card table{font-size:.87rem}
.values th:first-child{width:100%}.folded details{margin:0;border-top:1px solid var(--rule);padding:.35rem 0}.folded details:first-child{border-top:0}
.card :is(.fill,.base){vector-effect:non-scaling-stroke}
footer{border-top:1px solid var(--rule);padding:1.5rem 0 4rem;color:var(--soft);font-size:.85rem}
@media (max-width:30rem){svg .odd{display:none}:is(th,td){padding-right:1rem}.prose{min-width:11rem}}
@media print{body{font-size:10.5pt;background:#fff}.page{max-width:none;padding:0}nav,.skip,.hint{display:none}
section,header{padding:1rem 0}section{grid-template-columns:minmax(0,1fr)}.head{position:static}figure,tr,.card{break-inside:avoid}h2,h3,caption{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}}
"""
