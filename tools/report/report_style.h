/* report_style.h - the style sheet of report.html, tools/report.css. */
#pragma once

/* Its lines, each with its end; ends with NULL. */
extern const char *const report_style[];
