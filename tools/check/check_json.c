/* check_json - one object with everything that `segloom check` knows. */
#include "check_print.h"

static void number_add(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

static void seconds_add(JsonBuilder *builder, const char *name, double seconds)
{
    json_builder_set_member_name(builder, name);
    if (seconds > 0)
        json_builder_add_double_value(builder, seconds);
    else
        json_builder_add_null_value(builder);
}

/* A text that need not be UTF-8, such as a path; NULL becomes null. */
static void text_add(JsonBuilder *builder, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    json_builder_set_member_name(builder, name);
    if (valid)
        json_builder_add_string_value(builder, valid);
    else
        json_builder_add_null_value(builder);
}

static void words_add(JsonBuilder *builder, const char *name, char **words)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (; words && *words; words++)
        json_builder_add_string_value(builder, *words);
    json_builder_end_array(builder);
}

static guint split_size(const LoomDataset *dataset, LoomSplit split)
{
    guint n = 0;

    g_free(loom_dataset_split(dataset, split, &n));
    return n;
}

static void dataset_add(JsonBuilder *builder, const LoomDataset *dataset)
{
    json_builder_set_member_name(builder, "dataset");
    json_builder_begin_object(builder);
    text_add(builder, "name", dataset->name);
    text_add(builder, "folder", dataset->folder);
    number_add(builder, "cases", dataset->n_cases);
    number_add(builder, "train", split_size(dataset, LOOM_SPLIT_TRAIN));
    number_add(builder, "validate", split_size(dataset, LOOM_SPLIT_VALIDATE));
    words_add(builder, "channels", dataset->channel_names);
    words_add(builder, "labels", dataset->label_names);
    json_builder_end_object(builder);
}

static void split_add(JsonBuilder *builder, const LoomSurvey *survey, guint k, LoomSplit split,
                      const char *name)
{
    gint64 voxels;
    const guint cases = loom_survey_class(survey, split, k, &voxels);

    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
    number_add(builder, "cases", cases);
    number_add(builder, "voxels", (guint64)voxels);
    json_builder_end_object(builder);
}

static void classes_add(JsonBuilder *builder, const LoomSurvey *survey)
{
    json_builder_set_member_name(builder, "classes");
    json_builder_begin_array(builder);
    for (guint k = 0; k < survey->dataset->n_labels; k++) {
        json_builder_begin_object(builder);
        number_add(builder, "label", k);
        number_add(builder, "value",
                   survey->dataset->value_of ? survey->dataset->value_of[k] : k);
        text_add(builder, "name", survey->dataset->label_names[k]);
        split_add(builder, survey, k, LOOM_SPLIT_TRAIN, "train");
        split_add(builder, survey, k, LOOM_SPLIT_VALIDATE, "validate");
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void finding_add(JsonBuilder *builder, const LoomFinding *finding)
{
    static const char *const severities[] = {"note", "warning", "error"};

    json_builder_begin_object(builder);
    text_add(builder, "severity", severities[finding->severity]);
    text_add(builder, "code", finding->code);
    text_add(builder, "file", finding->place);
    if (finding->line) {
        number_add(builder, "line", finding->line);
        number_add(builder, "column", finding->column);
    }
    text_add(builder, "case", finding->id);
    text_add(builder, "text", finding->text);
    json_builder_end_object(builder);
}

static void problems_add(JsonBuilder *builder, const LoomFindings *findings)
{
    number_add(builder, "errors", loom_findings_of(findings, LOOM_SEVERITY_ERROR));
    number_add(builder, "warnings", loom_findings_of(findings, LOOM_SEVERITY_WARNING));
    number_add(builder, "notes", loom_findings_of(findings, LOOM_SEVERITY_NOTE));
    json_builder_set_member_name(builder, "problems");
    json_builder_begin_array(builder);
    for (guint i = 0; i < loom_findings_count(findings); i++)
        finding_add(builder, loom_findings_at(findings, i));
    json_builder_end_array(builder);
}

static void memory_add(JsonBuilder *builder, const LoomRunMemory *sum)
{
    json_builder_set_member_name(builder, "memory");
    json_builder_begin_object(builder);
    number_add(builder, "bytes", loom_run_memory_sum(sum));
    number_add(builder, "ceiling", sum->ceiling);
    number_add(builder, "program", sum->program);
    number_add(builder, "weights", sum->weights);
    number_add(builder, "kept", sum->kept);
    number_add(builder, "queues", sum->queues);
    number_add(builder, "work", sum->hand);
    number_add(builder, "graph", sum->other);
    number_add(builder, "cache", sum->cache);
    json_builder_end_object(builder);
}

/* What a run that could be planned will need. */
static void needs_add(JsonBuilder *builder, const LoomRun *run, const CheckTime *time)
{
    guint64 checkpoints, predictions;

    loom_run_disk(run, &checkpoints, &predictions);
    number_add(builder, "steps", (guint64)loom_run_steps(run));
    number_add(builder, "ranks", loom_run_processes(run));
    number_add(builder, "model_bytes", loom_run_model_bytes(run));
    number_add(builder, "packets_in_flight", loom_run_packets(run));
    if (loom_run_memory(run))
        memory_add(builder, loom_run_memory(run));
    json_builder_set_member_name(builder, "disk");
    json_builder_begin_object(builder);
    number_add(builder, "checkpoint_bytes", checkpoints);
    number_add(builder, "prediction_bytes", predictions);
    json_builder_end_object(builder);
    json_builder_set_member_name(builder, "time");
    json_builder_begin_object(builder);
    seconds_add(builder, "step_seconds", time->step);
    seconds_add(builder, "load_seconds", time->load);
    json_builder_end_object(builder);
}

static void fixed_add(JsonBuilder *builder, const GPtrArray *fixed)
{
    json_builder_set_member_name(builder, "fixed");
    json_builder_begin_array(builder);
    for (guint i = 0; i < fixed->len; i++) {
        const LoomFixed *one = fixed->pdata[i];

        json_builder_begin_object(builder);
        text_add(builder, "file", one->file);
        text_add(builder, "case", one->id);
        text_add(builder, "done", one->done);
        text_add(builder, "left", one->left);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

char *check_json(const char *config, const LoomRun *run, const LoomFindings *findings,
                 const CheckTime *time, const GPtrArray *fixed)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    text_add(builder, "config", config);
    problems_add(builder, findings);
    if (run && loom_run_dataset(run))
        dataset_add(builder, loom_run_dataset(run));
    if (run && loom_run_survey(run))
        classes_add(builder, loom_run_survey(run));
    if (run && loom_run_planned(run))
        needs_add(builder, run, time);
    if (fixed)
        fixed_add(builder, fixed);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}
