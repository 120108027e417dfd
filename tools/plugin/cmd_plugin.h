/* cmd_plugin.h - the parts of `segloom plugin`. */
#pragma once

int cmd_plugin_new(int argc, char **argv);
int cmd_plugin_test(int argc, char **argv);
