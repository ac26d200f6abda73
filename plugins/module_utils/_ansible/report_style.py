# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look of the report page. The page names this text's digest as the only style it takes."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--text:#1c2024;--dim:#5b636b;--line:#e2e3e0;--head:#f0f1ee;
--red:#b3261e;--amber:#865300;--violet:#6b3fa0;--blue:#1858b8;--green:#1b6e35;--link:#1c2024}
@media (prefers-color-scheme:dark){:root{--bg:#131518;--card:#1a1d21;--text:#e4e6e8;--dim:#9aa3ab;--line:#2c3136;
--head:#20242a;--red:#ff8a80;--amber:#e8b04a;--violet:#c3a6f5;--blue:#8ab8ff;--green:#6fcf8b;--link:#e4e6e8}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
header,main,footer{max-width:1680px;margin:0 auto;padding:0 24px}
header{padding-top:18px;display:flex;flex-wrap:wrap;gap:2px 20px;align-items:baseline}
h1{font-size:20px;line-height:1.3;margin:0;font-weight:650}
h2{font-size:15px;margin:0 0 6px;font-weight:650}
h3{font-size:13px;line-height:21px;margin:0;font-weight:650;white-space:nowrap}
p{margin:0}
a{color:var(--link);text-decoration:none}
a:hover,a:focus-visible{text-decoration:underline}
:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
section{margin:16px 0 0}
.dim{color:var(--dim)}
.few{font-weight:400;color:var(--dim)}
.tally{display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;margin:6px 0 0;padding:0;width:100%}
.st{font-weight:600;white-space:nowrap}
.st::before{content:"";display:inline-block;width:8px;height:8px;border-radius:50%;margin-right:6px;
background:currentColor}
.failed,.missing{color:var(--red)}.unknown,.unfinished{color:var(--violet)}.stale{color:var(--amber)}
.held,.pinned{color:var(--blue)}.current{color:var(--green)}.undeclared,.foreign,.elsewhere,.none{color:var(--dim)}
.missing::before,.none::before,.elsewhere::before{background:transparent!important;
box-shadow:inset 0 0 0 2px currentColor}
.held::before,.pinned::before{border-radius:1px!important}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px}
.look{padding:10px 14px 12px}
.group{display:grid;grid-template-columns:124px minmax(0,1fr);gap:0 12px;padding:5px 0;
border-top:1px solid var(--line)}
.group:first-of-type{border-top:0}
.chips{list-style:none;margin:0;padding:0;display:grid;
grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:0 24px}
.chips li{display:flex;gap:8px;align-items:baseline;min-width:0;line-height:21px;font-size:13px}
.chips b,.chips a{font-weight:550;flex:0 1 auto;min-width:0;max-width:60%;overflow:hidden;text-overflow:ellipsis;
white-space:nowrap}
.chips .at{flex:none;max-width:40%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--dim)}
.chips .why{flex:1 1 0;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--dim);
text-align:right}
.chips li:only-child{grid-column:1/-1}
.chips li:only-child .why{text-align:left}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px}
caption{text-align:left;padding:0}
th,td{text-align:left;vertical-align:top;padding:6px 10px;border-top:1px solid var(--line)}
thead th{border-top:0;font-weight:600;color:var(--dim);background:var(--head);white-space:nowrap}
th:first-child{padding-left:14px}
thead th:first-child{border-top-left-radius:8px}thead th:last-child{border-top-right-radius:8px}
tbody th{font-weight:600;min-width:170px;max-width:300px}
tbody th .sub{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
td{min-width:110px}
.sub{display:block;color:var(--dim);font-weight:400;font-size:12px;line-height:1.4}
.num{white-space:nowrap}
tr:target th{box-shadow:inset 3px 0 0 var(--blue)}
.hide{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
ul.plain{margin:0;padding:10px 14px 10px 30px}
dl{display:grid;grid-template-columns:124px minmax(0,1fr);gap:3px 12px;margin:0;font-size:13px}
dt,dd{margin:0}
footer{padding-bottom:28px}
@media (max-width:700px){header,main,footer{padding-left:12px;padding-right:12px}
header{padding-top:12px}.look{padding:8px 10px}
.group{grid-template-columns:minmax(0,1fr)}.chips{grid-template-columns:minmax(0,1fr)}
table,tbody,tr,th,td{display:block;width:auto;max-width:none}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tr{padding:7px 10px;border-top:1px solid var(--line)}tbody tr:first-child{border-top:0}
tbody th,tbody th:first-child{padding:0 0 2px;border:0}
tbody td{border:0;padding:1px 0 1px 84px;min-height:20px;position:relative}
tbody td::before{content:attr(data-of);position:absolute;left:0;width:78px;color:var(--dim);overflow:hidden;
text-overflow:ellipsis;white-space:nowrap}tbody td.empty{display:none}dl{grid-template-columns:96px minmax(0,1fr)}}
@media print{body{background:#fff}.card{border-color:#bbb}}
"""
