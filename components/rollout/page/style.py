"""The style sheet of the page: light and dark, no fonts or pictures to load."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#5b6b7c;--line:#d5dde5;--ground:#fff;--card:#f6f8fa;--blue:#1f6fb2;--red:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa7b4;--line:#30404f;--ground:#11181f;--card:#18222c;--blue:#6cb2ee;--red:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:18px}h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.1rem;margin:1.6em 0 .5em}
a{color:var(--blue)}.lead{font-size:1.05rem}.note,figcaption{color:var(--soft);font-size:.87rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1.2em;margin:1em 0}dt{color:var(--soft)}dd{margin:0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35em .8em .35em 0;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);font-weight:500}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(430px,100%),1fr));gap:14px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px;max-width:580px}svg{width:100%;height:auto;display:block}
.tick{fill:var(--soft);font-size:11px}.axis{stroke:var(--line)}.line{fill:none;stroke:var(--blue);stroke-width:2}
.band{fill:var(--blue);opacity:.18}.bound{fill:none;stroke:var(--red);stroke-dasharray:5 4;stroke-width:1.5}.boundmark{fill:var(--red)}.dot{fill:var(--blue)}
.badge{display:inline-block;border-radius:999px;padding:.05em .65em;font-size:.8rem;font-weight:600;background:#dfe6ee;color:#24323f;vertical-align:middle}
.promoted,.ok,.watch{background:#cdebd3;color:#12491f}.rolled_back,.rolling_back,.harm{background:#f8d0cc;color:#6d130d}
.hold,.await_approval,.inconclusive{background:#fbe3b3;color:#5a3d00}.ramp,.shadow,.promoting{background:#cfe4f7;color:#0d3c63}.simulated{background:#e8d9f5;color:#47206b}
.failure{background:var(--card);border-left:4px solid var(--red);padding:.8em 1em}
"""
