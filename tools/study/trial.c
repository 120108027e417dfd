/* trial - code that may crash, in a process of its own: a child that answers through a pipe. */
#include "trial.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_PASSED '+' /* first byte of the answer */
#define TRIAL_FAILED '-'

static void answer_write(int pipe, const GString *answer)
{
    for (gsize done = 0; done < answer->len;) {
        const gssize n = write(pipe, answer->str + done, answer->len - done);

        if (n < 0 && errno != EINTR)
            return; /* the parent sees a child without an answer */
        done += n > 0 ? (gsize)n : 0;
    }
}

static void child_run(TrialFunc func, gpointer data, guint seconds, int pipe)
{
    const struct rlimit none = {0, 0};
    g_autoptr(GString) answer = g_string_new(NULL), found = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    setrlimit(RLIMIT_CORE, &none);
    signal(SIGALRM, SIG_DFL);
    alarm(seconds);
    if (func(data, found, &error))
        g_string_append_printf(answer, "%c%s", TRIAL_PASSED, found->str);
    else
        g_string_append_printf(answer, "%c%s", TRIAL_FAILED,
                               error ? error->message : "it failed without saying why");
    answer_write(pipe, answer);
    _exit(0); /* and no handlers: what is open belongs to the parent as well */
}

static void answer_read(int pipe, GString *answer)
{
    char block[512];
    gssize n;

    while ((n = read(pipe, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
        g_string_append_len(answer, block, MAX(n, 0));
}

static void end_say(int status, guint seconds, GString *text)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        g_string_append_printf(text, "not done after %u seconds", seconds);
    else if (WIFSIGNALED(status))
        g_string_append_printf(text, "crashed: signal %d (%s)", WTERMSIG(status),
                               g_strsignal(WTERMSIG(status)));
    else
        g_string_append_printf(text, "ended the process with exit code %d",
                               WEXITSTATUS(status));
}

gboolean trial_run(TrialFunc func, gpointer data, guint seconds, GString *text)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    int ends[2], status = 0;

    if (pipe(ends) != 0)
        g_error("pipe: %s", g_strerror(errno));
    const pid_t child = fork();
    if (child < 0)
        g_error("fork: %s", g_strerror(errno));
    if (child == 0) {
        close(ends[0]);
        child_run(func, data, seconds, ends[1]);
    }
    close(ends[1]);
    answer_read(ends[0], answer);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !answer->len) {
        end_say(status, seconds, text);
        return FALSE;
    }
    g_string_append(text, answer->str + 1);
    return answer->str[0] == TRIAL_PASSED;
}
