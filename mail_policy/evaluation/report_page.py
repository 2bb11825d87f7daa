"""The frame of the report: everything that is the same for every evaluation."""

from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; max-width: 1080px;
       margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .25em 1.2em .25em 0; border-bottom: 1px solid #d9dee4;
         vertical-align: top; overflow-wrap: anywhere; }
th { color: #6b7a89; font-weight: 600; }
img { max-width: 100%; }
.episodes { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr));
            gap: 1.2em; }
figure { margin: 0; } video { width: 100%; background: #000; }
figcaption { font-size: .9em; }
</style>
</head>
<body>
<h1>$title</h1>
<p>Robot: $robot</p>
$verdicts
$comparison
$left_out
<h2>Tasks</h2>
$tasks
<p><img src="$plot" alt="Success rates with their 95 % intervals"></p>
<h2>Times</h2>
$times
<h2>Failures</h2>
<div class="episodes">$failures</div>
<h2>Successes</h2>
<div class="episodes">$successes</div>
<h2>How it was measured</h2>
$setup
</body>
</html>
""")
